//! AdamW in one libtorch call for all parameters.

use crate::TensorListError;
use crate::ffi::{self, Pointers};
use tch::{Kind, Tensor};

/// The constants of AdamW. The learning rate changes with every step and is an argument of [`FusedAdamW::step`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamWOptions {
    /// How much of the running mean of the gradient is kept in a step.
    pub beta1: f64,
    /// How much of the running mean of the squared gradient is kept in a step.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// The share of itself, times the learning rate, that a weight loses in a step.
    pub weight_decay: f64,
}

/// AdamW (Loshchilov and Hutter 2019) over a list of parameters, as one fused kernel.
#[derive(Debug)]
pub struct FusedAdamW {
    parameters: Vec<Tensor>,
    first_moments: Vec<Tensor>,
    second_moments: Vec<Tensor>,
    /// One float on the device of the parameters, as the kernel wants it.
    step: Tensor,
    options: AdamWOptions,
}

impl FusedAdamW {
    /// Starts with empty moments for `parameters`, which share storage with the caller's.
    pub fn new(parameters: Vec<Tensor>, options: AdamWOptions) -> Self {
        let zeros = || parameters.iter().map(|parameter| parameter.detach().zeros_like()).collect();
        let device = parameters.first().map_or(tch::Device::Cpu, Tensor::device);
        FusedAdamW {
            first_moments: zeros(),
            second_moments: zeros(),
            step: Tensor::zeros([] as [i64; 0], (Kind::Float, device)),
            parameters,
            options,
        }
    }

    /// Takes one step with the gradients that the parameters hold; a parameter without gradient stays as it is.
    ///
    /// # Errors
    ///
    /// When parameters live on several devices, or a gradient differs from its parameter in kind.
    pub fn step(&mut self, learning_rate: f64) -> Result<(), TensorListError> {
        let count = self.parameters.len();
        let gradients: Vec<Tensor> = self.parameters.iter().map(Tensor::grad).collect();
        let trained = |tensors: &[Tensor]| -> Vec<Tensor> {
            let pairs = tensors.iter().zip(&gradients);
            pairs.filter(|(_, gradient)| gradient.defined()).map(|(tensor, _)| tensor.shallow_clone()).collect()
        };
        let (parameters, held) = (trained(&self.parameters), trained(&gradients));
        if held.is_empty() {
            return Ok(());
        }
        let (first, second) = (trained(&self.first_moments), trained(&self.second_moments));
        let options = ffi::AdamWOptions {
            learning_rate,
            beta1: self.options.beta1,
            beta2: self.options.beta2,
            weight_decay: self.options.weight_decay,
            epsilon: self.options.epsilon,
        };
        let failed = |reason: String| TensorListError { operation: "take an optimiser step over", count, reason };
        // The kernel corrects the moments' bias by the number of the step it is taking.
        let _ = self.step.f_add_scalar_(1).map_err(|error| failed(error.to_string()))?;
        // SAFETY: the lists have one length, and all tensors outlive the call.
        unsafe {
            ffi::check(ffi::vismae_fused_adamw(
                Pointers::new(&parameters).list(),
                Pointers::new(&held).list(),
                Pointers::new(&first).list(),
                Pointers::new(&second).list(),
                ffi::pointer(&self.step),
                &raw const options,
            ))
        }
        .map_err(failed)
    }

    /// The parameters, in the order of the moments.
    pub fn parameters(&self) -> &[Tensor] {
        &self.parameters
    }

    /// The running means of the gradients, one per parameter. Copy into them to restore a state.
    pub fn first_moments(&self) -> &[Tensor] {
        &self.first_moments
    }

    /// The running means of the squared gradients, one per parameter. Copy into them to restore a state.
    pub fn second_moments(&self) -> &[Tensor] {
        &self.second_moments
    }

    /// How many steps were taken, as a scalar tensor of kind float: exact up to 2^24. Copy into it to restore a state.
    pub fn step_counter(&self) -> &Tensor {
        &self.step
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    const OPTIONS: AdamWOptions = AdamWOptions { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weight_decay: 0.05 };

    fn set_gradient(parameter: &Tensor, gradient: &Tensor) {
        parameter.grad().defined().then(|| parameter.grad().zero_());
        (parameter * gradient).sum(Kind::Float).backward();
    }

    /// The update as the paper states it, one number at a time.
    fn reference(weight: &mut f64, moments: &mut (f64, f64), gradient: f64, step: i32, learning_rate: f64) {
        *weight -= learning_rate * OPTIONS.weight_decay * *weight;
        moments.0 = OPTIONS.beta1 * moments.0 + (1.0 - OPTIONS.beta1) * gradient;
        moments.1 = OPTIONS.beta2 * moments.1 + (1.0 - OPTIONS.beta2) * gradient * gradient;
        let mean = moments.0 / (1.0 - OPTIONS.beta1.powi(step));
        let square = moments.1 / (1.0 - OPTIONS.beta2.powi(step));
        *weight -= learning_rate * mean / (square.sqrt() + OPTIONS.epsilon);
    }

    #[test]
    fn a_fused_step_equals_the_formula() {
        let start = [0.5_f32, -1.0, 2.0, 0.01, -0.3, 4.0];
        let parameters = [
            Tensor::from_slice(&start[..4]).set_requires_grad(true),
            Tensor::from_slice(&start[4..]).set_requires_grad(true),
        ];
        let mut optimiser = FusedAdamW::new(parameters.iter().map(Tensor::shallow_clone).collect(), OPTIONS);
        let mut weights: Vec<f64> = start.iter().map(|&value| f64::from(value)).collect();
        let mut moments = vec![(0.0, 0.0); start.len()];
        for step in 1..=5 {
            let gradients: Vec<f32> = (0..6).map(|index| ((index + 1) as f32 * step as f32).sin()).collect();
            set_gradient(&parameters[0], &Tensor::from_slice(&gradients[..4]));
            set_gradient(&parameters[1], &Tensor::from_slice(&gradients[4..]));
            let learning_rate = 0.01 * f64::from(step);
            optimiser.step(learning_rate).unwrap();
            for index in 0..start.len() {
                let gradient = f64::from(gradients[index]);
                reference(&mut weights[index], &mut moments[index], gradient, step, learning_rate);
            }
        }
        let found = Tensor::cat(&parameters, 0).to_kind(Kind::Double);
        for (index, expected) in weights.iter().enumerate() {
            assert!((found.double_value(&[index as i64]) - expected).abs() < 1e-6, "weight {index}");
        }
        assert_eq!(optimiser.step_counter().double_value(&[]), 5.0);
    }

    #[test]
    fn a_parameter_without_gradient_stays_as_it_is() {
        let idle = Tensor::ones([3], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let busy = Tensor::ones([2], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        set_gradient(&busy, &Tensor::ones([2], (Kind::Float, Device::Cpu)));
        let mut optimiser = FusedAdamW::new(vec![idle.shallow_clone(), busy.shallow_clone()], OPTIONS);
        optimiser.step(0.1).unwrap();
        assert_eq!(idle.double_value(&[0]), 1.0);
        assert!(busy.double_value(&[0]) < 1.0);
    }
}
