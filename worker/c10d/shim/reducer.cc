// The gradient reducer under DistributedDataParallel: bucketed all-reduce that overlaps the backward pass.
#include "handles.h"

#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/utils/lambda_post_hook.h>
#include <torch/csrc/autograd/variable.h>
#include <torch/csrc/distributed/c10d/reducer.hpp>

#include <algorithm>
#include <atomic>
#include <memory>
#include <new>
#include <utility>

namespace vismae {

// Counts the gradients of one backward pass. On a GPU a gradient counts when its kernels are queued.
struct Countdown {
  std::atomic<size_t> left{0};
  // Of the steady clock; 0 as long as gradients are left.
  std::atomic<int64_t> ready_ns{0};

  static int64_t now() {
    const auto time = std::chrono::steady_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::nanoseconds>(time).count();
  }
};

}  // namespace vismae

struct vismae_backward {
  std::shared_ptr<vismae::Countdown> countdown;
};

struct vismae_reducer {
  std::unique_ptr<c10d::Reducer> reducer;
  std::shared_ptr<vismae::Countdown> countdown;
  // The hooks, with what keeps their gradients' nodes alive.
  std::vector<std::pair<uintptr_t, std::shared_ptr<torch::autograd::Node>>> hooks;

  ~vismae_reducer() {
    for (const auto& [key, node] : hooks) {
      node->del_post_hook(key);
    }
  }

  void count(const std::vector<at::Tensor>& parameters) {
    for (const auto& parameter : parameters) {
      auto node = torch::autograd::impl::grad_accumulator(parameter);
      auto hook = [countdown = countdown](const torch::autograd::variable_list& outputs,
                                          const torch::autograd::variable_list&) {
        if (countdown->left.load() > 0 && countdown->left.fetch_sub(1) == 1) {
          countdown->ready_ns = vismae::Countdown::now();
        }
        return outputs;
      };
      auto key = node->add_post_hook(std::make_unique<torch::autograd::utils::LambdaPostHook>(std::move(hook)));
      hooks.emplace_back(key, std::move(node));
    }
  }
};

extern "C" {

char* vismae_reducer_new(const vismae_group* group, vismae_tensors parameters, size_t bucket_bytes,
                         vismae_reducer** out) {
  return vismae::guarded([&] {
    const auto params = vismae::tensors(parameters);
    const std::vector<bool> sparse(params.size(), false);
    // The first bucket is small, so that communication starts early in the backward pass.
    const size_t first = std::min<size_t>(bucket_bytes, c10d::kDefaultFirstBucketBytes);
    auto [buckets, limits] = c10d::compute_bucket_assignment_by_size(params, {first, bucket_bytes}, sparse);
    // Gradients arrive in about the reverse of the order in which the forward pass used the parameters.
    std::reverse(buckets.begin(), buckets.end());
    // After those of the reducer: by then the last bucket is on its way.
    std::unique_ptr<vismae_reducer> made(new vismae_reducer{std::make_unique<c10d::Reducer>(
        params, buckets, group->group, sparse, static_cast<int64_t>(bucket_bytes),
        /*find_unused_parameters=*/false, /*gradient_as_bucket_view=*/true,
        std::unordered_map<size_t, std::string>{}, static_cast<int64_t>(first),
        /*skip_all_reduce_unused_params=*/false, /*use_python_reducer=*/false, std::vector<int64_t>{}),
        std::make_shared<vismae::Countdown>(), {}});
    made->count(params);
    *out = made.release();
  });
}

char* vismae_reducer_prepare(vismae_reducer* reducer, const void* loss) {
  return vismae::guarded([&] {
    reducer->countdown->ready_ns = 0;
    reducer->countdown->left = reducer->hooks.size();
    reducer->reducer->prepare_for_backward({vismae::tensor(loss)});
  });
}

void vismae_reducer_free(vismae_reducer* reducer) {
  // The destructor of the reducer may throw.
  vismae_message_free(vismae::guarded([&] { delete reducer; }));
}

vismae_backward* vismae_reducer_backward(const vismae_reducer* reducer) {
  // What the last pass came to says nothing of the next.
  reducer->countdown->ready_ns = 0;
  return new (std::nothrow) vismae_backward{reducer->countdown};
}

int64_t vismae_backward_waiting_ns(const vismae_backward* backward) {
  const int64_t ready = backward->countdown->ready_ns;
  return ready == 0 ? -1 : vismae::Countdown::now() - ready;
}

void vismae_backward_free(vismae_backward* backward) {
  delete backward;
}

}  // extern "C"
