"""The two Grafana dashboards as code; ``python -m deploy.dashboards`` (or ``make dashboards``) writes their JSON."""
