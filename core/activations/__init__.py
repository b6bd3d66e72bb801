"""What a model's layers hold for some texts: prompts, nnsight traces, pooled states, the study.

Every nnsight trace is in ``traces``, but for the check of a model in ``models.states_check``.
May import the workbench, dataset, models and all below them.
"""
