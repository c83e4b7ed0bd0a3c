// Optimiser and gradient operators on lists of tensors, in place.
#include "handles.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/_foreach_zero.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/stack.h>

extern "C" {

char* vismae_fused_adamw(vismae_tensors parameters, vismae_tensors gradients, vismae_tensors first_moments,
                         vismae_tensors second_moments, const void* step, const vismae_adamw_options* options) {
  return vismae::guarded([&] {
    const at::NoGradGuard no_grad;
    // One counter serves every parameter: the kernels only read it.
    const std::vector<at::Tensor> steps(parameters.length, vismae::tensor(step));
    at::_fused_adamw_(vismae::tensors(parameters), vismae::tensors(gradients), vismae::tensors(first_moments),
                      vismae::tensors(second_moments), {}, steps, options->learning_rate, options->beta1,
                      options->beta2, options->weight_decay, options->epsilon, /*amsgrad=*/false, /*maximize=*/false);
  });
}

char* vismae_norm(vismae_tensors tensors, double* out) {
  return vismae::guarded([&] {
    const at::NoGradGuard no_grad;
    *out = at::linalg_vector_norm(at::stack(at::_foreach_norm(vismae::tensors(tensors)))).item<double>();
  });
}

char* vismae_scale(vismae_tensors tensors, double factor) {
  return vismae::guarded([&] {
    const at::NoGradGuard no_grad;
    at::_foreach_mul_(vismae::tensors(tensors), factor);
  });
}

char* vismae_zero(vismae_tensors tensors) {
  return vismae::guarded([&] {
    const at::NoGradGuard no_grad;
    at::_foreach_zero_(vismae::tensors(tensors));
  });
}

}  // extern "C"
