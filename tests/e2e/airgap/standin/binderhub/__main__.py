"""``python -m binderhub --config FILE``, as in BinderHub's own image."""

from binderhub.app import StandIn

StandIn.launch_instance()
