"""The checkpoints of a training run: listed, ordered by step, and checked for being whole.

``checkpoint``     a checkpoint that was found, and the record of one that was computed
``steps``          a checkpoint's step, from its name or its ``trainer_state.json``
``wholeness``      whether a checkpoint's folder is written completely
``local_folders``  the checkpoints in a local folder
``hub_revisions``  the branches and tags of a hub model
``selection``      the checkpoints that a series uses, and what is wrong with the others
"""
