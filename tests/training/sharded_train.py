"""In: the words of train.py. Out: the same run, in which accelerate takes the CPUs of this machine for GPUs.

    accelerate launch --config_file CONFIG tests/training/sharded_train.py WORDS

Without a GPU accelerate turns FSDP into DDP, and DeepSpeed into nothing, without a word. Here it is told that the
launch is one of GPUs, which are the CPU and speak gloo; what follows (wrapping, gathering, saving, resuming) is the
code of accelerate, torch, DeepSpeed and VANER as it stands. ``sharded.json``, beside the best model, says what came
of it.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from pathlib import Path

os.environ["ACCELERATE_TORCH_DEVICE"] = "cpu"

import torch  # noqa: E402
import transformers.training_args  # noqa: E402
from accelerate.state import PartialState  # noqa: E402
from accelerate.utils import DistributedType  # noqa: E402
from torch.distributed.fsdp import FSDPModule  # noqa: E402

PartialState._prepare_backend = lambda *_, **__: ("gloo", DistributedType.MULTI_GPU)
transformers.training_args.is_torch_bf16_gpu_available = lambda: True

from vaner.training import run as training  # noqa: E402
from vaner.training.trainer import VanerTrainer  # noqa: E402


def report(trainer):
    """What was wrapped, and how many of its bytes this process holds."""
    model = trainer.model
    wrapped = Counter(_name(m) for m in model.modules() if isinstance(m, FSDPModule))
    whole = held = 0
    for parameter in model.parameters():
        size = parameter.element_size()
        local = getattr(parameter, "_local_tensor", parameter)
        whole, held = whole + parameter.numel() * size, held + local.numel() * size
    engine = getattr(trainer, "deepspeed", None)
    return {
        "kind": trainer.accelerator.distributed_type.value,
        "backend": torch.distributed.get_backend(),
        "processes": torch.distributed.get_world_size(),
        "wrapped": wrapped,
        "share": held / whole,
        "trained": sorted({str(p.dtype) for p in model.parameters() if p.requires_grad}),
        "frozen": sorted({str(p.dtype) for p in model.parameters() if not p.requires_grad}),
        **(
            {
                "zero": engine.zero_optimization_stage(),
                "autocast": str(engine.torch_autocast_dtype()) if engine.torch_autocast_enabled() else None,
                "clipping": engine.gradient_clipping(),
                "accumulation": engine.gradient_accumulation_steps(),
            }
            if engine
            else {}
        ),
    }


def _name(module):
    # FSDP names the class of what it wraps "FSDP...".
    return type(module).__name__.removeprefix("FSDP")


def main(words):
    """Run, and write down what was wrapped whenever a best model is saved."""
    save_best = VanerTrainer.save_best

    def saved(self):
        save_best(self)
        if self.args.process_index == 0:
            found = json.dumps(report(self), default=str)
            Path(self.args.output_dir, "sharded.json").write_text(found, encoding="utf-8")

    VanerTrainer.save_best = saved
    training.run(words)


if __name__ == "__main__":
    main(sys.argv[1:])
