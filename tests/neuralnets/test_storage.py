import torch

from neuralnets.storage import storage_key


def test_views_share_a_key_and_copies_do_not() -> None:
    tensor = torch.zeros(4, 4)
    copy = tensor.clone()
    assert storage_key(tensor) == storage_key(tensor[1:, ::2]) == storage_key(tensor.untyped_storage())
    assert storage_key(tensor) != storage_key(copy)
