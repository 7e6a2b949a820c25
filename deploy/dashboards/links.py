"""Rows of the dashboard *Network* on who is connected to whom."""

from __future__ import annotations

from deploy.dashboards.panels import HELD_OUT, Panel, Query, Spec, graph, lines, named, rows


def connections() -> list[Panel]:
    """Return the panels."""
    circle = f'label_replace({named(HELD_OUT)}, "id", "$1", "name", "(.*)")'
    nodes = f'label_replace({circle}, "title", "$1", "name", "(.*)")'
    ends = f"label_replace({named('dslnode_neighbour_agreement_ratio and dslnode_neighbour_up == 1')}, "
    ends = f'label_replace({ends}"source", "$1", "name", "(.*)"), "target", "$1", "neighbour", "(.*)")'
    edges = f'label_join({ends}, "id", " ", "source", "target")'
    return [
        graph(
            Spec("Who is connected to whom", "Nodes with their held-out score, and open links with the fraction of "
                 "mask bits on which the two agree.", "percentunit", 12, 14),
            nodes,
            edges,
        ),
        rows(
            Spec("Links", "Every link as each of its ends sees it: whether it is open, rounds since the neighbour's "
                 "newest mask, and the fraction of mask bits on which the two agree.", "none", 12, 14),
            {
                "open": f"sum by (name, neighbour) ({named('dslnode_neighbour_up')})",
                "stale rounds": f"sum by (name, neighbour) ({named('dslnode_neighbour_staleness_rounds')})",
                "agreement": f"sum by (name, neighbour) ({named('dslnode_neighbour_agreement_ratio')})",
            },
            ["name", "neighbour"],
        ),
        lines(
            Spec("Neighbours", "Open links of each node.", "none", 8, 8, minimum=0),
            Query(named("dslnode_neighbours_connected")),
        ),
        lines(
            Spec("Staleness", "Rounds since the newest mask of the neighbour that has been silent longest arrived.",
                 "none", 8, 8, minimum=0),
            Query(named("max by (job, instance) (dslnode_neighbour_staleness_rounds)")),
        ),
        lines(
            Spec("Parts of the network", "Parts that the nodes fall into, as Prometheus works it out from open links, "
                 "and as each node sees it: those that it knows of and cannot reach are another part.",
                 "none", 8, 8, minimum=0),
            Query('dslnode:components{run=~"$run"}', "all links"),
            Query(named("dslnode_components"), "seen by {{name}}"),
        ),
    ]  # fmt: skip
