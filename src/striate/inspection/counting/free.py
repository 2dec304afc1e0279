"""Operators that count as nothing by convention: they move numbers, or change them one by one, or reduce them.

What is neither here nor has a rule is told to the user, and the total becomes a lower bound.
"""

_VIEWS = """
alias as_strided detach diagonal expand expand_as flatten imag lift lift_fresh mH mT matrix_H movedim moveaxis narrow
numpy_T permute pixel_shuffle pixel_unshuffle ravel real reshape reshape_as resolve_conj resolve_neg select slice
split split_with_sizes squeeze swapaxes swapdims t transpose tensor_split chunk unbind unflatten unfold unsafe_chunk
unsafe_split unsafe_split_with_sizes unsqueeze view view_as view_as_complex view_as_real adjoint hsplit vsplit dsplit
_reshape_alias _unsafe_view _conj _neg_view _fw_primal _make_dual _unpack_dual atleast_1d atleast_2d atleast_3d
"""
_COPIES = """
cat concat concatenate stack hstack vstack dstack column_stack row_stack clone contiguous copy _copy_from
constant_pad_nd pad _pad_circular _pad_enum reflection_pad1d reflection_pad2d reflection_pad3d replication_pad1d
replication_pad2d replication_pad3d repeat repeat_interleave tile roll flip fliplr flipud rot90 gather scatter
scatter_add scatter_reduce select_scatter slice_scatter diagonal_scatter as_strided_scatter index index_select
index_put index_add index_copy index_fill index_reduce _index_put_impl _unsafe_index _unsafe_index_put
_unsafe_masked_index masked_fill masked_scatter masked_select take take_along_dim put where im2col col2im block_diag
broadcast_tensors broadcast_to meshgrid diag diag_embed diagflat tril triu to _to_copy type_as _to_cpu channel_shuffle
native_channel_shuffle embedding embedding_renorm one_hot nonzero nonzero_static argwhere bincount
_pack_padded_sequence _pad_packed_sequence pad_sequence set resize resize_as fill zero fill_diagonal narrow_copy
_nested_tensor_from_mask _nested_from_padded to_padded_tensor pin_memory _pin_memory item _local_scalar_dense
_reshape_copy lift_fresh_copy
"""
_MADE = """
arange empty empty_like empty_strided empty_permuted eye full full_like linspace logspace new_empty new_empty_strided
new_full new_ones new_zeros ones ones_like zeros zeros_like scalar_tensor range tril_indices triu_indices
_efficientzerotensor bartlett_window blackman_window hamming_window hann_window kaiser_window rand rand_like randn
randn_like randint randint_like randperm normal uniform bernoulli exponential geometric cauchy log_normal random
multinomial poisson binomial _standard_gamma dropout feature_dropout alpha_dropout feature_alpha_dropout
native_dropout _fused_dropout normal_functional
"""
_POINTWISE = """
abs absolute acos acosh add addcdiv addcmul angle arccos arccosh arcsin arcsinh arctan arctan2 arctanh asin asinh atan
atan2 atanh bitwise_and bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor ceil clamp clamp_max
clamp_min clip complex conj conj_physical _conj_physical copysign cos cosh cross linalg_cross deg2rad digamma div
divide eq erf erfc erfinv exp exp2 expm1 fix float_power floor floor_divide fmax fmin fmod frac frexp gcd ge greater
greater_equal gt heaviside hypot i0 igamma igammac isclose isfinite isin isinf isnan isneginf isposinf isreal lcm
ldexp le less less_equal lerp lgamma log log10 log1p log2 logaddexp logaddexp2 logical_and logical_not logical_or
logical_xor logit lt maximum minimum mul multiply mvlgamma nan_to_num ne neg negative nextafter not_equal polar
polygamma positive pow rad2deg reciprocal remainder round rsqrt rsub sgn sign signbit sin sinc sinh special_entr
special_erfcx special_i0e special_i1 special_i1e special_log_ndtr special_ndtri special_xlog1py special_zeta sqrt
square sub subtract tan tanh true_divide trunc xlogy addr ger outer __and__ __or__ __xor__ __lshift__ __rshift__
bucketize searchsorted
"""
_ACTIVATIONS = """
celu elu gelu glu hardshrink hardsigmoid hardswish hardtanh leaky_relu log_sigmoid log_sigmoid_forward mish prelu
_prelu_kernel relu relu6 rrelu rrelu_with_noise selu sigmoid silu softplus softshrink threshold softmax _softmax
log_softmax _log_softmax _safe_softmax _masked_softmax special_softmax special_log_softmax _thnn_fused_lstm_cell
_thnn_fused_gru_cell _transform_bias_rescale_qkv
"""
_NORMS = """
batch_norm native_batch_norm cudnn_batch_norm miopen_batch_norm _batch_norm_impl_index _batch_norm_with_update
_batch_norm_with_update_functional _batch_norm_no_update _native_batch_norm_legit _native_batch_norm_legit_functional
_native_batch_norm_legit_no_training batch_norm_stats batch_norm_elemt batch_norm_gather_stats
batch_norm_gather_stats_with_counts batch_norm_update_stats group_norm native_group_norm layer_norm native_layer_norm
instance_norm rms_norm _fused_rms_norm native_norm renorm _weight_norm _weight_norm_interface norm_except_dim
"""
_POOLS = """
adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d _adaptive_avg_pool2d _adaptive_avg_pool3d
mkldnn_adaptive_avg_pool2d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d avg_pool1d avg_pool2d
avg_pool3d max_pool1d max_pool2d max_pool3d max_pool1d_with_indices max_pool2d_with_indices max_pool3d_with_indices
mkldnn_max_pool2d mkldnn_max_pool3d fractional_max_pool2d fractional_max_pool3d max_unpool2d max_unpool3d
upsample_nearest1d upsample_nearest2d upsample_nearest3d _upsample_nearest_exact1d _upsample_nearest_exact2d
_upsample_nearest_exact3d
"""
_REDUCTIONS = """
all any amax amin aminmax _aminmax argmax argmin argsort count_nonzero cummax cummin cumprod cumsum diff equal
allclose kthvalue linalg_norm linalg_vector_norm logcumsumexp logsumexp special_logsumexp max mean median min mode
msort nanmean nanmedian nansum norm frobenius_norm prod quantile nanquantile sort std std_mean sum sum_to_size topk
trace unique_dim unique_consecutive _unique _unique2 var var_mean cosine_similarity
"""
_LOSSES = """
binary_cross_entropy binary_cross_entropy_with_logits cross_entropy_loss huber_loss kl_div l1_loss mse_loss
multi_margin_loss multilabel_margin_loss nll_loss nll_loss2d nll_loss_forward nll_loss2d_forward nll_loss_nd
smooth_l1_loss soft_margin_loss hinge_embedding_loss margin_ranking_loss poisson_nll_loss
"""
_BOOKKEEPING = """
_assert_async _assert_scalar _assert_tensor_metadata _functional_assert_async _linalg_check_errors
_has_same_storage_numel is_same_size sym_size sym_numel sym_stride sym_storage_offset sym_constrain_range
sym_constrain_range_for_size _cudnn_rnn_flatten_weight _use_cudnn_rnn_flatten_weight record_stream requires_grad
_version _nested_tensor_size _fused_sdp_choice size stride dim numel
"""
_STRIATE = """
abs_rectify maxout scaled_tanh local_response_norm deform_sampling_points toeplitz explain_dispatch avg_pool1d
avg_pool2d avg_pool3d lp_pool1d lp_pool2d lp_pool3d max_pool1d max_pool2d max_pool3d max_unpool1d max_unpool2d
max_unpool3d adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d
adaptive_max_pool3d spatial_pyramid_pool1d spatial_pyramid_pool2d spatial_pyramid_pool3d im2col1d im2col2d im2col3d
col2im1d col2im2d col2im3d
"""
_OF_PYTORCH = (
    _VIEWS + _COPIES + _MADE + _POINTWISE + _ACTIVATIONS + _NORMS + _POOLS + _REDUCTIONS + _LOSSES + _BOOKKEEPING
).split()

FREE = frozenset(
    [f"aten.{name}{ending}" for name in _OF_PYTORCH for ending in ("", "_", "_copy")]
    + [f"striate.{name}()" for name in _STRIATE.split()]
    + [f"profiler._record_function_{name}" for name in ("enter", "enter_new", "exit")]
    + ["prim.device", "prim.layout", "prims.convert_element_type", "torchvision.nms", "torchvision.roi_pool"]
)
"""Names of operations; those in place are among them."""
