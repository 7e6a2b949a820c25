"""The rules by which Prometheus counts the components of each run's network, from who has an open link to whom.

Every node begins with a number of its own and takes the minimum number of its neighbours, again and again: after as
many steps as the network is wide, the nodes of a component have one number, and other components others (label
propagation). PromQL has no loops, so the steps are written out, each a recording rule upon the one before.
"""

from __future__ import annotations

STEPS = 12

LINKS = (
    'max by (run, name, neighbour) (dslnode_neighbour_up{node_id!=""} '
    "* on (job, instance) group_left (run, name) dslnode_info) == 1"
)
# When a process began is nearly a number of its own; its memory tells apart two that began at one time.
OWN = (
    "max by (run, name) ((process_start_time_seconds % 100000 + process_resident_memory_bytes / 1e12) "
    "* on (job, instance) group_left (run, name) dslnode_info)"
)
STEP = (
    "min by (run, name) (dslnode:link "
    '* on (run, neighbour) group_left () label_replace({before}, "neighbour", "$1", "name", "(.*)") or {before})'
)
COUNT = 'count by (run) (count by (run, component) (count_values by (run) ("component", {last})))'


def as_rules() -> str:
    """Return the rule file."""
    rules = [("dslnode:link", LINKS), ("dslnode:component:0", OWN)]
    rules += [(f"dslnode:component:{n + 1}", STEP.format(before=f"dslnode:component:{n}")) for n in range(STEPS)]
    rules.append(("dslnode:components", COUNT.format(last=f"dslnode:component:{STEPS}")))
    head = "# Made by make dashboards from deploy/dashboards/components.py, which says how it works.\n"
    head += "groups:\n  - name: dslnode-components\n    rules:\n"
    return head + "".join(f"      - record: {name}\n        expr: {_quoted(expr)}\n" for name, expr in rules)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
