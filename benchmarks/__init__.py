"""Benchmarks of SGD-Net: `python -m benchmarks --help`, run from the root of the repository.

Each room measures one thing: `operator_cases` the dynamic convolution, `network_cases` a forward pass,
`training_cases` a step of training, `input_cases` the training transforms. `measure` times and weighs, `environment`
says on what, `report` writes JSON and Markdown. `gpu` runs everything on a GPU within a time budget; `export` compares
exported files, on weights and images that it is given.
"""
