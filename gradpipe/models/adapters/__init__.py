"""Adapters of the peft library: small matrices that change a base model's projections.

``config``   the settings and files of an adapter, and the name of its base
``base``     the source of its base model
``files``    checks of an adapter's files before loading
``load``     an adapter on its base, merged into it or beside it
``wrappers`` the linear layers that an adapter wraps
``factors``  its factors as projections of their own
"""
