"""Types of torch's layers, grouped by what code about networks has to tell apart."""

from typing import Final

from torch import nn

CONVOLUTIONS: Final = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
"""Their weights are (filters, channels in / groups, *kernel)."""
TRANSPOSED: Final = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
"""Their weights are (channels in, filters / groups, *kernel)."""
LAYERS: Final = (*CONVOLUTIONS, *TRANSPOSED, nn.Linear)
"""Layers with one weight, called `weight`, that multiplies what they are called with."""
RECURRENT: Final = (nn.RNNBase, nn.RNNCellBase)
"""Their weights are called `weight_...`."""
BATCH_NORMS: Final = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
NORMS: Final = (*BATCH_NORMS, nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)
"""Normalisations channel by channel: their tensors are (channels,)."""
