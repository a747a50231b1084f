"""Interoperation with torch and others: signatures, hooks, devices, loss scaling, sparse and sharded tensors."""
