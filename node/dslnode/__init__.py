"""dslnode: devices learn personal binary masks over one frozen random network, and exchange only masks."""

__version__ = "0.1.0"
