// The gradient reducer under DistributedDataParallel: bucketed all-reduce that overlaps the backward pass.
#include "handles.h"

#include <torch/csrc/distributed/c10d/reducer.hpp>

#include <algorithm>

struct vismae_reducer {
  std::unique_ptr<c10d::Reducer> reducer;
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
    *out = new vismae_reducer{std::make_unique<c10d::Reducer>(
        params, buckets, group->group, sparse, static_cast<int64_t>(bucket_bytes),
        /*find_unused_parameters=*/false, /*gradient_as_bucket_view=*/true,
        std::unordered_map<size_t, std::string>{}, static_cast<int64_t>(first),
        /*skip_all_reduce_unused_params=*/false, /*use_python_reducer=*/false, std::vector<int64_t>{})};
  });
}

char* vismae_reducer_prepare(vismae_reducer* reducer, const void* loss) {
  return vismae::guarded([&] { reducer->reducer->prepare_for_backward({vismae::tensor(loss)}); });
}

void vismae_reducer_free(vismae_reducer* reducer) {
  // The destructor of the reducer may throw.
  vismae_message_free(vismae::guarded([&] { delete reducer; }));
}

}  // extern "C"
