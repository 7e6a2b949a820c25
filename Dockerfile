# One node of dslnode, for amd64 and arm64.
#
#   docker build --tag dslnode .                              a node; bring your own data
#   docker build --tag dslnode:testbed --target testbed .     the same with Fashion-MNIST inside, for docker-compose.yml
#
# Build arguments:
#   INDEX_URL        package index in place of pip's own, such as a mirror
#   EXTRA_INDEX_URL  package index beside it. Name one that carries torch's CPU builds: pip takes 2.13.0+cpu before
#                    2.13.0. Without it pip takes the CUDA build, gigabytes larger, on arm64 as on amd64.
#   TORCH            the torch requirement; TORCH=torch==2.13.0+cpu fails rather than taking another build

FROM python:3.11-slim AS build
ARG INDEX_URL=""
ARG EXTRA_INDEX_URL=""
ARG TORCH="torch==2.13.0"
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /source
RUN python -m venv /opt/dslnode
ENV PATH=/opt/dslnode/bin:$PATH
COPY constraints.txt .
# torch in a layer of its own: a change of the code does not fetch it again
RUN ${INDEX_URL:+env PIP_INDEX_URL="$INDEX_URL"} ${EXTRA_INDEX_URL:+env PIP_EXTRA_INDEX_URL="$EXTRA_INDEX_URL"} \
    pip install --constraint constraints.txt "$TORCH"
COPY LICENSE README.md pyproject.toml ./
COPY node node
RUN ${INDEX_URL:+env PIP_INDEX_URL="$INDEX_URL"} ${EXTRA_INDEX_URL:+env PIP_EXTRA_INDEX_URL="$EXTRA_INDEX_URL"} \
    pip install --constraint constraints.txt '.[coder,images,serve,tui]'
# What only compiling or testing against torch and numpy needs; then pip itself, which a read-only system cannot use
RUN site=$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))') \
    && find "$site"/torch/bin -type f ! -name torch_shm_manager -delete \
    && rm -rf "$site"/torch/include "$site"/torch/share "$site"/torch/test "$site"/torch/lib/*.a \
        "$site"/numpy/_core/include \
    && find "$site"/numpy "$site"/sympy "$site"/networkx -depth -type d -name tests -exec rm -rf {} + \
    && pip uninstall --yes setuptools pip
# Nothing that a node needs has gone with it
RUN dslnode start --rounds 2 --listen 127.0.0.1:0 --metrics off

FROM python:3.11-slim AS fashion-mnist
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends dataset-fashion-mnist \
    && rm -rf /var/lib/apt/lists/*

FROM python:3.11-slim AS runtime
LABEL org.opencontainers.image.title="dslnode" \
    org.opencontainers.image.version="0.1.0" \
    org.opencontainers.image.description="Devices learn personal binary masks over one frozen random network and exchange only masks" \
    org.opencontainers.image.documentation="deploy/README.md" \
    org.opencontainers.image.base.name="python:3.11-slim"
RUN groupadd --gid 7711 dslnode \
    && useradd --uid 7711 --gid 7711 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin dslnode \
    && install --directory --owner dslnode --group dslnode --mode 0700 /var/lib/dslnode
COPY --from=build /opt/dslnode /opt/dslnode
ENV PATH=/opt/dslnode/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    DSLNODE_STATE_DIR=/var/lib/dslnode \
    DSLNODE_LISTEN=0.0.0.0:7711 \
    DSLNODE_METRICS=0.0.0.0:9464 \
    DSLNODE_LOG_FORMAT=json
USER 7711:7711
VOLUME /var/lib/dslnode
EXPOSE 7711 9464
# Ready is whose address is open, as it is once data, model and state are in order, and whose event loop answers
HEALTHCHECK --interval=30s --timeout=30s --start-period=180s --retries=3 CMD ["python", "-m", "dslnode.cli.healthcheck"]
ENTRYPOINT ["dslnode"]
CMD ["start"]

FROM runtime AS testbed
COPY --from=fashion-mnist /usr/share/datasets/fashion-mnist /usr/share/datasets/fashion-mnist
# Where docker-compose.yml keeps the testbed's tickets: a new volume takes its owner from here
COPY --from=runtime --chown=7711:7711 --chmod=0700 /var/lib/dslnode /tickets

FROM runtime AS node
