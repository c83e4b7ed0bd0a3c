// Collectives of a group, whatever its backend.
#include "handles.h"

namespace {

// `Work` keeps the tensors alive until it is waited for.
void finish(const c10::intrusive_ptr<c10d::Work>& work) {
  TORCH_CHECK(work->wait(), "the collective was aborted");
}

}  // namespace

extern "C" {

char* vismae_group_all_reduce(const vismae_group* group, const void* tensor, uint8_t operation) {
  return vismae::guarded([&] {
    std::vector<at::Tensor> tensors{vismae::tensor(tensor)};
    c10d::AllreduceOptions options;
    options.reduceOp = static_cast<c10d::ReduceOp::RedOpType>(operation);
    finish(group->backend->allreduce(tensors, options));
  });
}

char* vismae_group_broadcast(const vismae_group* group, const void* tensor, int32_t root) {
  return vismae::guarded([&] {
    std::vector<at::Tensor> tensors{vismae::tensor(tensor)};
    c10d::BroadcastOptions options;
    options.rootRank = root;
    finish(group->backend->broadcast(tensors, options));
  });
}

char* vismae_group_barrier(const vismae_group* group) {
  return vismae::guarded([&] {
    c10d::BarrierOptions options;
    options.device = group->backend->getBoundDeviceId();
    finish(group->backend->barrier(options));
  });
}

char* vismae_group_abort(const vismae_group* group) {
  return vismae::guarded([&] { group->backend->abort(); });
}

vismae_group* vismae_group_share(const vismae_group* group) {
  return new (std::nothrow) vismae_group(*group);
}

void vismae_group_free(vismae_group* group) {
  vismae_message_free(vismae::guarded([&] { delete group; }));
}

}  // extern "C"
