"""Problems to train on: data, model, loss, metric and target."""
