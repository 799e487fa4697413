"""BinderHub: its effective configuration, its traits, the build pod that it creates, registry naming."""
