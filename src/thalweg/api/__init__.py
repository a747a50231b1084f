"""The Python API: compare optimizers, resume a study, read its result. Package `thalweg` offers it.

Imported module by module, so that stored studies are read without torch.
"""
