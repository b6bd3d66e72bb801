"""What a model's layers hold for some texts: prompts, nnsight traces, pooled states, the study.

Every nnsight trace but the check of a model is in ``traces``. May import the workbench, dataset, models and all below them.
"""
