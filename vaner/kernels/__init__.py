"""In: layers of a model. Out: the same numbers, faster.

grouped    attention by plain matrix products, on a CPU
fused      a merged MLP and its projections in fewer steps, in bfloat16 on a CPU
int8       linear layers that multiply in 8 bits, on a CPU
lora       a LoRA layer in one autograd step
"""
