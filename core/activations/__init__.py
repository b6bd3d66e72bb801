"""What a model's layers hold for some texts: prompts, nnsight traces, pooled states, the study.

Every nnsight trace is in ``traces``, but for the check of a model in ``models.short_texts``.
May import the workbench, dataset, models and all below them.
"""
