"""In: layers of a model. Out: the same numbers, faster.

machine    what this processor multiplies by instructions of its own
rates      how fast it does so
grouped    attention by plain matrix products, on a CPU
sharing    what layers that read the same activations have in common
fused      a merged MLP and its projections in fewer steps, on a CPU
int8       linear layers that multiply in 8 bits, on a CPU
lora       a LoRA layer in one autograd step
"""
