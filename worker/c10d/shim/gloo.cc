// Forms a group over Gloo: TCP links between CPU tensors.
#include "handles.h"

#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

extern "C" char* vismae_group_gloo(const vismae_store* store, const vismae_group_options* options, vismae_text host,
                                   vismae_text interface, vismae_group** out) {
  return vismae::guarded([&] {
    auto settings = c10d::ProcessGroupGloo::Options::create(std::chrono::milliseconds(options->join_timeout_ms));
    settings->devices.push_back(
        host.length > 0 ? c10d::ProcessGroupGloo::createDeviceForHostname(vismae::text(host))
                        : c10d::ProcessGroupGloo::createDeviceForInterface(vismae::text(interface)));
    auto backend =
        c10::make_intrusive<c10d::ProcessGroupGloo>(store->store, options->rank, options->world_size, settings);
    *out = vismae::wrap(store->store, *options, c10::DeviceType::CPU, c10d::ProcessGroup::BackendType::GLOO, backend);
  });
}
