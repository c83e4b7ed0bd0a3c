// Forms a group over NCCL: links between the GPUs of one machine or of many.
#include "handles.h"

#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

extern "C" char* vismae_group_nccl(const vismae_store* store, const vismae_group_options* options, int32_t device,
                                   vismae_group** out) {
  return vismae::guarded([&] {
    auto settings = c10d::ProcessGroupNCCL::Options::create();
    settings->timeout = std::chrono::milliseconds(options->join_timeout_ms);
    auto backend =
        c10::make_intrusive<c10d::ProcessGroupNCCL>(store->store, options->rank, options->world_size, settings);
    backend->setBoundDeviceId(at::Device(c10::DeviceType::CUDA, static_cast<c10::DeviceIndex>(device)));
    *out = vismae::wrap(store->store, *options, c10::DeviceType::CUDA, c10d::ProcessGroup::BackendType::NCCL, backend);
  });
}
