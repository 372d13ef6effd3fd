"""Where an equal computes other numbers than TensorFlow."""

_GLOROT = "its kernel starts from Glorot's uniform distribution, that of {} from another"
_NHWC = "TensorFlow has channels last (NHWC), torch has them first (NCHW)"
_DENSE = (
    _GLOROT.format("torch.nn.Linear") + ": torch.nn.init.xavier_uniform_, and zeros for the bias."
)
_CONVOLUTION = f"{_NHWC}; {_GLOROT.format('torch.nn.Conv2d')}: torch.nn.init.xavier_uniform_."
_NORMALISATION = (
    "momentum 0.99 is torch's momentum=0.01, and epsilon 1e-3 its eps=1e-3; the defaults of torch.nn.BatchNorm1d are "
    "0.1 and 1e-5."
)
_DROPOUT = "keep_prob is the share that stays, torch's p the share that goes: p = 1 - keep_prob."
_POOLING = f"{_NHWC}, and padding='same' pads on the right."

DIFFERENCES = {
    "tf.contrib.layers.batch_norm": "decay 0.999 is torch's momentum=0.001, and epsilon 1e-3 its eps=1e-3.",
    "tf.contrib.layers.fully_connected": _DENSE + " It applies a ReLU.",
    "tf.div": "whole numbers are divided without a remainder, by torch.div with one.",
    "tf.keras.layers.BatchNormalization": _NORMALISATION,
    "tf.keras.layers.Conv2D": _CONVOLUTION,
    "tf.keras.layers.Dense": _DENSE,
    "tf.keras.layers.Flatten": f"{_NHWC}: flattened images have another order.",
    "tf.keras.layers.MaxPooling2D": _POOLING,
    "tf.layers.batch_normalization": _NORMALISATION,
    "tf.layers.conv2d": _CONVOLUTION,
    "tf.layers.dense": _DENSE,
    "tf.layers.flatten": f"{_NHWC}: flattened images have another order.",
    "tf.layers.max_pooling2d": _POOLING,
    "tf.nn.conv2d": f"{_NHWC}, and kernels have another order of axes.",
    "tf.nn.dropout": _DROPOUT,
    "tf.nn.leaky_relu": "the slope is 0.2, torch's default 0.01.",
    "tf.nn.max_pool": _POOLING,
    "tf.one_hot": "an id out of range is a row of zeros, in torch an error.",
}
