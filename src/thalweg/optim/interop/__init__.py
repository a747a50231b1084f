"""What meets torch and others: spelling, hooks, devices, loss scaling, sparse and spread tensors."""
