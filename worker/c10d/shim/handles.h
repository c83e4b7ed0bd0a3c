// What the opaque handles hold, and how a call turns an exception into a message.
#pragma once

#include "vismae_c10d.h"

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include <chrono>
#include <exception>
#include <string>
#include <vector>

struct vismae_store {
  c10::intrusive_ptr<c10d::Store> store;
};

struct vismae_group {
  c10::intrusive_ptr<c10d::ProcessGroup> group;
  c10::intrusive_ptr<c10d::Backend> backend;
};

namespace vismae {

// Copies a message to the C heap; never null, even when memory is exhausted.
char* message(const char* text) noexcept;

template <typename Body>
char* guarded(Body&& body) noexcept {
  try {
    body();
    return nullptr;
  } catch (const c10::Error& error) {
    return message(error.what_without_backtrace());
  } catch (const std::exception& error) {
    return message(error.what());
  } catch (...) {
    return message("an exception of unknown type");
  }
}

inline std::string text(vismae_text source) {
  return std::string(source.data, source.length);
}

inline const at::Tensor& tensor(const void* pointer) {
  return *static_cast<const at::Tensor*>(pointer);
}

inline std::vector<at::Tensor> tensors(vismae_tensors list) {
  std::vector<at::Tensor> result;
  result.reserve(list.length);
  for (size_t index = 0; index < list.length; ++index) {
    result.push_back(tensor(list.data[index]));
  }
  return result;
}

// A process group whose only backend serves `device`, as the reducer wants it.
inline vismae_group* wrap(const c10::intrusive_ptr<c10d::Store>& store, const vismae_group_options& options,
                          c10::DeviceType device, c10d::ProcessGroup::BackendType type,
                          const c10::intrusive_ptr<c10d::Backend>& backend) {
  backend->setTimeout(std::chrono::milliseconds(options.collective_timeout_ms));
  auto group = c10::make_intrusive<c10d::ProcessGroup>(store, options.rank, options.world_size);
  group->setBackend(device, type, backend);
  group->setDefaultBackend(type);
  return new vismae_group{group, backend};
}

}  // namespace vismae
