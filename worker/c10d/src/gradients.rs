//! Operations on the gradients of many parameters at once.

use crate::ffi::{self, Pointers};
use tch::Tensor;

/// libtorch refused an operation on a list of tensors.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot {operation} `{count}` tensors: {reason}")]
pub struct TensorListError {
    pub(crate) operation: &'static str,
    pub(crate) count: usize,
    pub(crate) reason: String,
}

/// Scales all gradients so that their common Euclidean norm is at most `max_norm`, and returns the norm they had.
///
/// Parameters without a gradient are passed over. A norm that is not finite is returned as it is, and the gradients
/// stay untouched: the caller decides whether to skip the step. `f64::INFINITY` only measures.
///
/// # Errors
///
/// When the gradients live on several devices, or differ in kind.
pub fn clip_grad_norm(parameters: &[Tensor], max_norm: f64) -> Result<f64, TensorListError> {
    let gradients = gradients(parameters);
    if gradients.is_empty() {
        return Ok(0.0);
    }
    let pointers = Pointers::new(&gradients);
    let failed = |operation| move |reason| TensorListError { operation, count: parameters.len(), reason };
    let mut norm = 0.0;
    // SAFETY: the tensors outlive the call, and `norm` is a valid place to write to.
    unsafe { ffi::check(ffi::vismae_norm(pointers.list(), &raw mut norm)) }
        .map_err(failed("take the norm of the gradients of"))?;
    if norm.is_finite() && norm > max_norm {
        // SAFETY: the tensors outlive the call.
        unsafe { ffi::check(ffi::vismae_scale(pointers.list(), max_norm / norm)) }
            .map_err(failed("scale the gradients of"))?;
    }
    Ok(norm)
}

/// Sets every gradient to zero in place. A gradient that is a view of a reducer's bucket stays one.
///
/// # Errors
///
/// When libtorch refuses, which it has no reason to do.
pub fn zero_grad(parameters: &[Tensor]) -> Result<(), TensorListError> {
    let gradients = gradients(parameters);
    if gradients.is_empty() {
        return Ok(());
    }
    // SAFETY: the tensors outlive the call.
    unsafe { ffi::check(ffi::vismae_zero(Pointers::new(&gradients).list())) }.map_err(|reason| TensorListError {
        operation: "zero the gradients of",
        count: parameters.len(),
        reason,
    })
}

/// The gradients that exist.
fn gradients(parameters: &[Tensor]) -> Vec<Tensor> {
    parameters.iter().map(Tensor::grad).filter(Tensor::defined).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    fn parameters_with_gradient(values: &[f32]) -> Vec<Tensor> {
        values
            .iter()
            .map(|&value| {
                let parameter = Tensor::zeros([1], (Kind::Float, Device::Cpu)).set_requires_grad(true);
                (&parameter * f64::from(value)).sum(Kind::Float).backward();
                parameter
            })
            .collect()
    }

    #[test]
    fn gradients_beyond_the_norm_are_scaled_to_it() {
        let parameters = parameters_with_gradient(&[3.0, 4.0]);
        assert!((clip_grad_norm(&parameters, 1.0).unwrap() - 5.0).abs() < 1e-6);
        assert!((parameters[0].grad().double_value(&[0]) - 0.6).abs() < 1e-6);
        assert!((parameters[1].grad().double_value(&[0]) - 0.8).abs() < 1e-6);
    }

    #[test]
    fn gradients_within_the_norm_stay_as_they_are() {
        let parameters = parameters_with_gradient(&[3.0, 4.0]);
        assert!((clip_grad_norm(&parameters, f64::INFINITY).unwrap() - 5.0).abs() < 1e-6);
        assert_eq!(parameters[1].grad().double_value(&[0]), 4.0);
    }

    #[test]
    fn a_norm_that_is_not_finite_is_reported_and_changes_nothing() {
        let parameters = parameters_with_gradient(&[f32::NAN, 4.0]);
        assert!(clip_grad_norm(&parameters, 1.0).unwrap().is_nan());
        assert_eq!(parameters[1].grad().double_value(&[0]), 4.0);
    }

    #[test]
    fn parameters_without_gradient_are_passed_over() {
        let bare = [Tensor::zeros([2], (Kind::Float, Device::Cpu)).set_requires_grad(true)];
        assert_eq!(clip_grad_norm(&bare, 1.0).unwrap(), 0.0);
        zero_grad(&bare).unwrap();

        let parameters = parameters_with_gradient(&[3.0]);
        zero_grad(&parameters).unwrap();
        assert_eq!(parameters[0].grad().double_value(&[0]), 0.0);
    }
}
