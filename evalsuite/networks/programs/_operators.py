"""Lists the operators that a program of torch.export may hold.

What is not listed is refused, whatever it does: torch has more than 3000 operators, among them some that read and
write past the end of a tensor (`_reshape_alias`), overwrite whole lists of weights (`_foreach_*`), build broken sparse
tensors (`_sparse_coo_tensor_unsafe`), read files (`from_file`), or give what happened to be in memory (`empty`). A list
of those that are dangerous is never complete.

Listed is what the programs of classifiers, segmenters, regressors and upscalers are made of, as torch.export writes
them and after `run_decompositions`: found by exporting 150 networks - those of this package, and of torchvision's and
timm's families - and programs that torchao quantised, completed by the siblings of what was found. Each checks its
arguments - where it does not, `_guards` does -, computes on the numbers that it is given, gives sizes that follow from
the sizes of its inputs, and has a kernel that computes these sizes alone. Hence no `nonzero`, no `item`, no
`masked_select`: what an image shows must not decide how much is computed.
"""

from types import MappingProxyType
from typing import Final

_ATEN: Final = MappingProxyType(
    {
        "convolutions": """
            conv1d.default conv1d.padding conv2d.default conv2d.padding conv3d.default conv3d.padding
            conv_transpose1d.default conv_transpose2d.input conv_transpose3d.input convolution.default
        """,
        "products": """
            linear.default matmul.default mm.default bmm.default baddbmm.default addmm.default addbmm.default
            mv.default dot.default outer.default einsum.default bilinear.default addmv.default addcmul.default
            addcdiv.default linalg_vector_norm.default norm.ScalarOpt_dim norm.Scalar cosine_similarity.default
            pairwise_distance.default cross.default linalg_cross.default kron.default
        """,
        "attention": """
            scaled_dot_product_attention.default
        """,
        "normalisation": """
            batch_norm.default layer_norm.default group_norm.default instance_norm.default rms_norm.default
            _native_batch_norm_legit_no_training.default _native_batch_norm_legit.no_stats native_layer_norm.default
            native_group_norm.default _fused_rms_norm.default
        """,
        "activations": """
            relu.default relu6.default hardtanh.default leaky_relu.default elu.default celu.default selu.default
            gelu.default silu.default mish.default softplus.default sigmoid.default log_sigmoid.default
            hardsigmoid.default hardswish.default hardshrink.default softshrink.default tanh.default threshold.default
            prelu.default _prelu_kernel.default rrelu.default glu.default softmax.int log_softmax.int _softmax.default
            _log_softmax.default _safe_softmax.default logit.default log_sigmoid_forward.default
        """,
        "dropout, idle in evaluation mode": """
            dropout.default feature_dropout.default alpha_dropout.default feature_alpha_dropout.default
            native_dropout.default
        """,
        "pooling": """
            max_pool1d.default max_pool2d.default max_pool3d.default max_pool2d_with_indices.default
            max_pool3d_with_indices.default avg_pool1d.default avg_pool2d.default avg_pool3d.default
            adaptive_avg_pool1d.default adaptive_avg_pool2d.default adaptive_avg_pool3d.default
            _adaptive_avg_pool2d.default _adaptive_avg_pool3d.default adaptive_max_pool1d.default
            adaptive_max_pool2d.default adaptive_max_pool3d.default
        """,
        "resizing and padding": """
            upsample_nearest1d.default upsample_nearest1d.vec upsample_nearest2d.default upsample_nearest2d.vec
            upsample_nearest3d.default upsample_nearest3d.vec _upsample_nearest_exact1d.vec
            _upsample_nearest_exact2d.default _upsample_nearest_exact2d.vec upsample_linear1d.default
            upsample_linear1d.vec upsample_bilinear2d.default upsample_bilinear2d.vec upsample_bicubic2d.default
            upsample_bicubic2d.vec upsample_trilinear3d.default upsample_trilinear3d.vec
            _upsample_bilinear2d_aa.default _upsample_bilinear2d_aa.vec _upsample_bicubic2d_aa.default
            _upsample_bicubic2d_aa.vec pixel_shuffle.default pixel_unshuffle.default channel_shuffle.default
            grid_sampler.default grid_sampler_2d.default affine_grid_generator.default pad.default
            constant_pad_nd.default reflection_pad1d.default reflection_pad2d.default reflection_pad3d.default
            replication_pad1d.default replication_pad2d.default replication_pad3d.default im2col.default
            col2im.default unfold.default
        """,
        "shapes": """
            view.default view.dtype reshape.default flatten.using_ints unflatten.int permute.default transpose.int
            t.default numpy_T.default mT.default movedim.int movedim.intlist moveaxis.int moveaxis.intlist
            swapaxes.default swapdims.default squeeze.default squeeze.dim squeeze.dims unsqueeze.default
            expand.default expand_as.default repeat.default repeat_interleave.self_int tile.default
            broadcast_to.default broadcast_tensors.default view_as.default reshape_as.default contiguous.default
            clone.default copy.default as_strided.default alias.default detach.default lift_fresh_copy.default
            lift_fresh.default atleast_1d.default atleast_2d.default atleast_3d.default ravel.default
            _unsafe_view.default view_copy.default expand_copy.default permute_copy.default unsqueeze_copy.default
            squeeze_copy.dim squeeze_copy.dims transpose_copy.int t_copy.default
        """,
        "parts and wholes": """
            cat.default concat.default concatenate.default stack.default hstack.default vstack.default split.Tensor
            split.sizes split_with_sizes.default split_with_sizes_copy.default chunk.default tensor_split.sections
            tensor_split.indices unsafe_split.Tensor unsafe_chunk.default unbind.int unbind_copy.int slice.Tensor
            slice_copy.Tensor slice_scatter.default select.int select_copy.int select_scatter.default narrow.default
            narrow_copy.default index.Tensor index_select.default gather.default take_along_dim.default
            index_put.default index_add.default index_copy.default scatter.src scatter.value scatter_add.default
            embedding.default diagonal.default diag_embed.default diag.default roll.default flip.default rot90.default
            fliplr.default flipud.default tril.default triu.default meshgrid.default meshgrid.indexing
        """,
        "sums and orders": """
            sum.default sum.dim_IntList mean.default mean.dim prod.default prod.dim_int var.default var.dim
            var.correction std.default std.dim std.correction var_mean.dim var_mean.correction std_mean.dim
            std_mean.correction amax.default amin.default aminmax.default max.default max.dim max.other min.default
            min.dim min.other argmax.default argmin.default logsumexp.default cumsum.default cumprod.default
            topk.default sort.default sort.stable argsort.default any.default any.dim any.dims all.default all.dim
            all.dims
        """,
        "arithmetic": """
            add.Tensor add.Scalar sub.Tensor sub.Scalar rsub.Tensor rsub.Scalar subtract.Tensor mul.Tensor mul.Scalar
            multiply.Tensor multiply.Scalar div.Tensor div.Scalar div.Tensor_mode div.Scalar_mode divide.Tensor
            true_divide.Tensor floor_divide.default floor_divide.Scalar remainder.Tensor remainder.Scalar fmod.Tensor
            fmod.Scalar pow.Tensor_Scalar pow.Tensor_Tensor pow.Scalar float_power.Tensor_Scalar neg.default
            negative.default abs.default absolute.default sign.default sgn.default reciprocal.default sqrt.default
            rsqrt.default square.default exp.default exp2.default expm1.default log.default log2.default log10.default
            log1p.default erf.default erfc.default sin.default cos.default tan.default asin.default acos.default
            atan.default sinh.default cosh.default asinh.default acosh.default atanh.default atan2.default
            ceil.default floor.default round.default round.decimals trunc.default frac.default clamp.default
            clamp.Tensor clamp_min.default clamp_min.Tensor clamp_max.default clamp_max.Tensor clip.default
            maximum.default minimum.default fmax.default fmin.default lerp.Scalar lerp.Tensor nan_to_num.default
            logaddexp.default hypot.default
        """,
        "comparisons and masks": """
            eq.Tensor eq.Scalar ne.Tensor ne.Scalar lt.Tensor lt.Scalar le.Tensor le.Scalar gt.Tensor gt.Scalar
            ge.Tensor ge.Scalar greater.Scalar less.Scalar logical_and.default logical_or.default logical_not.default
            logical_xor.default bitwise_and.Tensor bitwise_and.Scalar bitwise_or.Tensor bitwise_or.Scalar
            bitwise_not.default bitwise_xor.Tensor bitwise_xor.Scalar __and__.Tensor __or__.Tensor
            bitwise_left_shift.Tensor_Scalar bitwise_right_shift.Tensor_Scalar __lshift__.Scalar __rshift__.Scalar
            where.self where.ScalarOther where.ScalarSelf where.Scalar masked_fill.Scalar masked_fill.Tensor
            isnan.default isinf.default isfinite.default
        """,
        "constants": """
            full.default full_like.default zeros.default zeros_like.default ones.default ones_like.default
            new_full.default new_zeros.default new_ones.default arange.default arange.start arange.start_step
            linspace.default eye.default eye.m scalar_tensor.default fill.Scalar fill.Tensor
        """,
        "types": """
            to.dtype to.dtype_layout to.device to.other _to_copy.default type_as.default
            _assert_tensor_metadata.default
        """,
        "sizes": """
            sym_size.int sym_numel.default sym_stride.int sym_storage_offset.default _assert_scalar.default
            sym_constrain_range_for_size.default
        """,
        "Fourier transforms of networks that mix by them": """
            fft_rfft2.default fft_irfft2.default fft_fft2.default fft_ifft2.default fft_rfft.default fft_irfft.default
            fft_fft.default real.default view_as_complex.default view_as_real.default
        """,
        "in place, never on the network's own tensors": """
            relu_.default relu6_.default hardtanh_.default leaky_relu_.default elu_.default celu_.default
            selu_.default silu_.default mish_.default sigmoid_.default hardsigmoid_.default hardswish_.default
            tanh_.default threshold_.default dropout_.default feature_dropout_.default add_.Tensor add_.Scalar
            sub_.Tensor sub_.Scalar mul_.Tensor mul_.Scalar div_.Tensor div_.Scalar clamp_.default clamp_min_.default
            clamp_max_.default exp_.default sqrt_.default masked_fill_.Scalar masked_fill_.Tensor fill_.Scalar
            fill_.Tensor zero_.default copy_.default index_put_.default unsqueeze_.default squeeze_.dim
        """,
    }
)
_QUANTISED: Final = """
    quantize_per_tensor.default quantize_per_tensor.tensor quantize_per_tensor.tensor2
    dequantize_per_tensor.default dequantize_per_tensor.tensor dequantize_per_tensor.tensor2
    quantize_per_channel.default dequantize_per_channel.default quantize_per_token.default dequantize_per_token.default
    quantize_per_channel_group.default dequantize_per_channel_group.default
    choose_qparams.tensor choose_qparams_symmetric.tensor choose_qparams_per_token.default
    choose_qparams_per_token_asymmetric.default _choose_qparams_per_token_asymmetric_impl.default
    fake_quant_per_channel.default convert_element_type.no_fuse
"""
_TORCHAO: Final = "choose_qparams_affine.default quantize_affine.default dequantize_affine.default"
_PRIMS: Final = "convert_element_type.default"

ALLOWED: Final = frozenset(
    f"torch.ops.{space}.{name}"
    for space, text in (
        *(("aten", text) for text in _ATEN.values()),
        ("quantized_decomposed", _QUANTISED),
        ("torchao", _TORCHAO),
        ("prims", _PRIMS),
    )
    for name in text.split()
)
"""Names with their overloads, as descriptions of programs have them."""
