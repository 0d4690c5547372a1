// SPDX-License-Identifier: LGPL-2.1-or-later
// Activations in f32. ACT's values are ops_act's.
#ifndef LIB_ACTIVATION
#define LIB_ACTIVATION

const uint ACT_NONE = 0, ACT_GELU_TANH = 1, ACT_GELU_ERF = 2, ACT_SILU = 3, ACT_SWIGLU = 4;

// exp(88) is finite; further out the quotients below are 0 or x to f32 anyway
vec4 silu(vec4 x)
{
    return x / (1.0 + exp(min(-x, vec4(88.0))));
}

// 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))): x times the logistic function of twice the argument
vec4 gelu_tanh(vec4 x)
{
    vec4 y = 1.5957691216057308 * (x + 0.044715 * x * x * x);
    return x / (1.0 + exp(min(-y, vec4(88.0))));
}

// Abramowitz and Stegun 7.1.26: erf within 1.5e-7. Its complement is what is computed, so that the
// negative tail does not cancel.
vec4 gelu_erf(vec4 x)
{
    vec4 z = min(abs(x) * 0.7071067811865476, vec4(9.0));
    vec4 t = 1.0 / (1.0 + 0.3275911 * z);
    vec4 poly = t * (0.254829592 +
                     t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
    vec4 half_erfc = 0.5 * poly * exp(-z * z);
    return x * mix(half_erfc, 1.0 - half_erfc, greaterThanEqual(x, vec4(0.0)));
}

// act is a specialisation constant: one of the branches remains
vec4 activate(uint act, vec4 x)
{
    if (act == ACT_GELU_TANH)
        return gelu_tanh(x);
    if (act == ACT_GELU_ERF)
        return gelu_erf(x);
    if (act == ACT_SILU)
        return silu(x);
    return x;
}

#endif
