"""Benchmarks of SGD-Net: `python -m benchmarks --help`, run from the root of the repository.

Each room measures one thing: `operator_cases` the dynamic convolution, `convolution_cases` the plain ones,
`network_cases` a forward pass, `training_cases` a step of training, `input_cases` the training transforms. `measure`
times and weighs, `environment` says on what, `report` writes JSON and Markdown. `gpu` runs everything on a GPU within a
time budget, after its tests (`check_cases`), and `gpu_isic2018` trains the paper's protocol there; `gpu_pack.sh` and
`gpu_data` pack what such a machine lacks. `export` compares exported files, on weights and images that it is given.
"""
