"""The C99 functions of which the source of a model is put together: each is written only where the model needs it."""

from __future__ import annotations

SIGMOID = """
static float sigmoid(float value)
{
    return 1.0f / (1.0f + expf(-value));
}
"""

WEIGHTS = """
/* One bit per weight says whether it is kept, one bit per kept weight whether it is plus. */
struct weights {
    const uint8_t *kept;
    const uint8_t *plus;%(fields)s
    float scale;
#ifdef DSLNODE_FAST /* filled at the first call, for processors with vectors and megabytes */
    float *wide;
    uint32_t *taps;
    int *is_filled;
#endif
};

static int bit(const uint8_t *bits, size_t place)
{
    return bits[place >> 3] >> (place & 7) & 1;
}
%(functions)s"""

BINARY = {
    "fields": "",
    "functions": """
/* What a kept weight is, in units of the scale: 1 or -1. */
static float factor(const struct weights *weights, size_t kept)
{
    return bit(weights->plus, kept) ? 1.0f : -1.0f;
}

static float times(float value, float factor)
{
    return factor > 0.0f ? value : -value; /* no processor needs to multiply */
}
""",
}
"""What the weights of a binary mask add to ``WEIGHTS``."""

LEVELS = {
    "fields": """
    const uint8_t *levels; /* `width` bits per kept weight, the lowest first, and a byte more */
    size_t width;""",
    "functions": """
/* What a kept weight is, in units of the scale: its level, or minus that. */
static float factor(const struct weights *weights, size_t kept)
{
    size_t place = kept * weights->width;
    uint32_t pair = weights->levels[place >> 3] | (uint32_t)weights->levels[(place >> 3) + 1] << 8;
    float level = (float)(pair >> (place & 7) & ((1u << weights->width) - 1));
    return bit(weights->plus, kept) ? level : -level;
}

static float times(float value, float factor)
{
    return value * factor;
}
""",
}
"""What weights with levels add to ``WEIGHTS``."""

LINEAR = """
#ifdef DSLNODE_FAST
/* Each weight as a float, the units of an input side by side. */
static void widen(const struct weights *weights, size_t inputs, size_t outputs)
{
    size_t place = 0, kept = 0;
    for (size_t unit = 0; unit < outputs; unit++) {
        for (size_t input = 0; input < inputs; input++, place++) {
            float value = 0.0f;
            if (bit(weights->kept, place)) {
                value = times(weights->scale, factor(weights, kept++));
            }
            weights->wide[input * outputs + unit] = value;
        }
    }
    *weights->is_filled = 1;
}

static void linear(const float *in, float *restrict out, size_t inputs, size_t outputs, const struct weights *weights,
                   const float *bias)
{
    if (!*weights->is_filled) {
        widen(weights, inputs, outputs);
    }
    for (size_t unit = 0; unit < outputs; unit++) {
        out[unit] = bias ? bias[unit] : 0.0f;
    }
    for (size_t input = 0; input < inputs; input++) {
        const float *wide = weights->wide + input * outputs;
        float value = in[input];
        for (size_t unit = 0; unit < outputs && value != 0.0f; unit++) {
            out[unit] += value * wide[unit];
        }
    }
}
#else
static void linear(const float *in, float *out, size_t inputs, size_t outputs, const struct weights *weights,
                   const float *bias)
{
    size_t place = 0, kept = 0;
    for (size_t unit = 0; unit < outputs; unit++) {
        float sum = 0.0f;
        for (size_t input = 0; input < inputs; input++, place++) {
            if (bit(weights->kept, place)) {
                sum += times(in[input], factor(weights, kept++));
            }
        }
        out[unit] = sum * weights->scale + (bias ? bias[unit] : 0.0f);
    }
}
#endif
"""

CONVOLUTION = """
/* Inputs are padded already; a series has one row. */
struct convolution {
    size_t groups, channels, outputs;
    size_t rows, columns, kernel_rows, kernel_columns;
    size_t stride_rows, stride_columns, dilation_rows, dilation_columns;
    size_t out_rows, out_columns;
};

/* Adds a window's values times a factor to the places of a unit, which lie as far apart as in the input. */
static void add(const float *restrict window, float *restrict plane, const struct convolution *shape, float factor)
{
    if (shape->stride_rows == 1 && shape->stride_columns == 1) { /* what lies between the places is added to as well */
        size_t length = (shape->out_rows - 1) * shape->columns + shape->out_columns;
        for (size_t place = 0; place < length; place++) {
            plane[place] += times(window[place], factor);
        }
        return;
    }
    for (size_t row = 0; row < shape->out_rows; row++) {
        const float *line = window + row * shape->stride_rows * shape->columns;
        for (size_t column = 0; column < shape->out_columns; column++) {
            plane[row * shape->columns + column] += times(line[column * shape->stride_columns], factor);
        }
    }
}

/* Where a weight looks in its group of channels. */
static size_t tap_of(size_t weight, const struct convolution *shape)
{
    size_t column = weight % shape->kernel_columns, row = weight / shape->kernel_columns % shape->kernel_rows;
    size_t channel = weight / shape->kernel_columns / shape->kernel_rows;
    return (channel * shape->rows + row * shape->dilation_rows) * shape->columns + column * shape->dilation_columns;
}

#ifdef DSLNODE_FAST
#define LAST_TAP UINT32_MAX

/* Where the kept weights of each unit look, and what they are. */
static void list_taps(const struct weights *weights, const struct convolution *shape)
{
    size_t count = shape->channels * shape->kernel_rows * shape->kernel_columns, place = 0, kept = 0, next = 0;
    for (size_t unit = 0; unit < shape->outputs; unit++) {
        for (size_t weight = 0; weight < count; weight++, place++) {
            if (bit(weights->kept, place)) {
                weights->taps[next] = (uint32_t)tap_of(weight, shape);
                weights->wide[next++] = factor(weights, kept++);
            }
        }
        weights->taps[next++] = LAST_TAP;
    }
    *weights->is_filled = 1;
}
#endif

static void convolution(const float *in, float *out, const struct convolution *shape, const struct weights *weights,
                        const float *bias)
{
    static float plane[LARGEST_PLANE];
#ifdef DSLNODE_FAST
    size_t next = 0;
    if (!*weights->is_filled) {
        list_taps(weights, shape);
    }
#else
    size_t count = shape->channels * shape->kernel_rows * shape->kernel_columns, place = 0, kept = 0;
#endif
    for (size_t unit = 0; unit < shape->outputs; unit++) {
        size_t number = unit / (shape->outputs / shape->groups);
        const float *group = in + number * shape->channels * shape->rows * shape->columns;
        for (size_t each = 0; each < shape->out_rows * shape->columns; each++) {
            plane[each] = 0.0f;
        }
#ifdef DSLNODE_FAST
        for (; weights->taps[next] != LAST_TAP; next++) {
            add(group + weights->taps[next], plane, shape, weights->wide[next]);
        }
        next++;
#else
        for (size_t weight = 0; weight < count; weight++, place++) {
            if (bit(weights->kept, place)) {
                add(group + tap_of(weight, shape), plane, shape, factor(weights, kept++));
            }
        }
#endif
        for (size_t row = 0; row < shape->out_rows; row++) {
            for (size_t column = 0; column < shape->out_columns; column++) {
                *out++ = plane[row * shape->columns + column] * weights->scale + (bias ? bias[unit] : 0.0f);
            }
        }
    }
}
"""

PAD = """
static void pad(const float *in, float *out, size_t channels, size_t rows, size_t columns, size_t above, size_t below,
                size_t before, size_t behind, float filler)
{
    size_t width = before + columns + behind, height = above + rows + below;
    for (size_t place = 0; place < channels * height * width; place++) {
        size_t row = place / width % height, column = place % width;
        int inside = row >= above && row < above + rows && column >= before && column < before + columns;
        out[place] = inside ? *in++ : filler;
    }
}
"""

POOL = """
struct pool {
    size_t channels, rows, columns, kernel_rows, kernel_columns, stride_rows, stride_columns, out_rows, out_columns;
    int mean;
};

static void pool(const float *in, float *out, const struct pool *shape)
{
    for (size_t channel = 0; channel < shape->channels; channel++) {
        for (size_t row = 0; row < shape->out_rows; row++) {
            for (size_t column = 0; column < shape->out_columns; column++) {
                const float *window = in + (channel * shape->rows + row * shape->stride_rows) * shape->columns
                                      + column * shape->stride_columns;
                float sum = 0.0f, largest = window[0];
                for (size_t place = 0; place < shape->kernel_rows * shape->kernel_columns; place++) {
                    size_t line = place / shape->kernel_columns;
                    float value = window[line * shape->columns + place % shape->kernel_columns];
                    sum += value;
                    largest = value > largest ? value : largest;
                }
                *out++ = shape->mean ? sum / (float)(shape->kernel_rows * shape->kernel_columns) : largest;
            }
        }
    }
}
"""

STEPS_LAST = """
static void steps_last(const float *in, float *out, size_t steps, size_t features)
{
    for (size_t feature = 0; feature < features; feature++) {
        for (size_t step = 0; step < steps; step++) {
            *out++ = in[step * features + feature];
        }
    }
}
"""

AFFINE = """
static void affine(float *values, size_t channels, size_t places, const float *gain, const float *shift)
{
    for (size_t channel = 0; channel < channels; channel++) {
        for (size_t place = 0; place < places; place++, values++) {
            *values = *values * gain[channel] + shift[channel];
        }
    }
}
"""

GRU = """
static void gru(const float *in, float *state, size_t steps, size_t features, size_t width,
                const struct weights *input_weights, const float *input_bias, const struct weights *state_weights,
                const float *state_bias)
{
    static float ours[3 * WIDEST_STATE], theirs[3 * WIDEST_STATE];
    for (size_t unit = 0; unit < width; unit++) {
        state[unit] = 0.0f;
    }
    for (size_t step = 0; step < steps; step++) {
        linear(in + step * features, ours, features, 3 * width, input_weights, input_bias);
        linear(state, theirs, width, 3 * width, state_weights, state_bias);
        for (size_t unit = 0; unit < width; unit++) {
            float reset = sigmoid(ours[unit] + theirs[unit]);
            float update = sigmoid(ours[width + unit] + theirs[width + unit]);
            float sum = ours[2 * width + unit] + reset * theirs[2 * width + unit];
            float fresh = 2.0f * sigmoid(2.0f * sum) - 1.0f; /* the tangent, in a third of the time of tanhf */
            state[unit] = (1.0f - update) * fresh + update * state[unit];
        }
    }
}
"""

FUNCTIONS = {
    "sigmoid": SIGMOID,
    "linear": LINEAR,
    "convolution": CONVOLUTION,
    "pad": PAD,
    "pool": POOL,
    "steps_last": STEPS_LAST,
    "affine": AFFINE,
    "gru": GRU,
}
"""By name, each after those that it calls."""
NEEDS = {"linear": ("weights",), "convolution": ("weights",), "gru": ("weights", "linear", "sigmoid")}
"""What a function calls."""

ACTIVATIONS = {
    "relu": "value > 0.0f ? value : 0.0f",
    "leaky_relu": "value > 0.0f ? value : {slope} * value",
    "elu": "value > 0.0f ? value : {alpha} * expm1f(value)",
    "tanh": "tanhf(value)",
    "sigmoid": "sigmoid(value)",
    "gelu": "value * 0.5f * (1.0f + erff(value * 0.70710678f))",
    "silu": "value * sigmoid(value)",
    "relu6": "value < 0.0f ? 0.0f : value > 6.0f ? 6.0f : value",
    "hardtanh": "value < -1.0f ? -1.0f : value > 1.0f ? 1.0f : value",
}
"""What becomes of a value, in C."""
