"""Tables of experiments: a plan of rows, folds and seeds; its runs, one after the other or on a cluster; its table."""
