// The key-value store through which the ranks of a group find each other, the messages of all calls, and what libtorch
// must find in the environment. No group forms without a store, so this file is part of every program that needs it.
#include "handles.h"

#include <c10/util/Logging.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <cstdlib>
#include <cstring>

namespace {

// Before `main`, while there is one thread: `setenv` is safe at no other time. What the user has set stays.
__attribute__((constructor)) void prepare_process() {
  // The flight recorder keeps a map that groups of several threads change without a lock.
  setenv("TORCH_FR_BUFFER_SIZE", "0", 0);
  // libtorch logs each failure of a socket, with a stack trace, before it throws the same as an exception. Every
  // exception reaches the caller, so the log says nothing new.
  if (getenv("TORCH_CPP_LOG_LEVEL") == nullptr) {
    FLAGS_caffe2_log_level = c10::GLOG_FATAL;
  }
}

char exhausted[] = "out of memory while reporting an error";

c10d::TCPStoreOptions options(uint16_t port, int64_t timeout_ms) {
  c10d::TCPStoreOptions options;
  options.port = port;
  options.waitWorkers = false;
  options.timeout = std::chrono::milliseconds(timeout_ms);
  return options;
}

}  // namespace

namespace vismae {

char* message(const char* text) noexcept {
  char* copy = strdup(text);
  return copy == nullptr ? exhausted : copy;
}

}  // namespace vismae

extern "C" {

void vismae_message_free(char* message) {
  if (message != exhausted) {
    free(message);
  }
}

void vismae_bytes_free(uint8_t* bytes) {
  free(bytes);
}

char* vismae_store_serve(int listen_fd, vismae_text host, uint16_t port, int64_t timeout_ms, vismae_store** out) {
  return vismae::guarded([&] {
    auto settings = options(port, timeout_ms);
    settings.isServer = true;
    settings.masterListenFd = listen_fd;
    *out = new vismae_store{c10::make_intrusive<c10d::TCPStore>(vismae::text(host), settings)};
  });
}

char* vismae_store_connect(
    vismae_text host, uint16_t port, int64_t connect_ms, int64_t wait_ms, vismae_store** out) {
  return vismae::guarded([&] {
    auto store = c10::make_intrusive<c10d::TCPStore>(vismae::text(host), options(port, connect_ms));
    store->setTimeout(std::chrono::milliseconds(wait_ms));
    *out = new vismae_store{store};
  });
}

char* vismae_store_prefixed(const vismae_store* store, vismae_text prefix, vismae_store** out) {
  return vismae::guarded(
      [&] { *out = new vismae_store{c10::make_intrusive<c10d::PrefixStore>(vismae::text(prefix), store->store)}; });
}

char* vismae_store_set(const vismae_store* store, vismae_text key, const uint8_t* bytes, size_t length) {
  return vismae::guarded([&] { store->store->set(vismae::text(key), std::vector<uint8_t>(bytes, bytes + length)); });
}

char* vismae_store_get(const vismae_store* store, vismae_text key, uint8_t** out, size_t* out_length) {
  return vismae::guarded([&] {
    const auto value = store->store->get(vismae::text(key));
    // One byte at least: `malloc(0)` may return null.
    auto* copy = static_cast<uint8_t*>(malloc(value.size() + 1));
    if (copy == nullptr) {
      throw std::bad_alloc();
    }
    std::copy(value.begin(), value.end(), copy);
    *out = copy;
    *out_length = value.size();
  });
}

char* vismae_store_add(const vismae_store* store, vismae_text key, int64_t amount, int64_t* out) {
  return vismae::guarded([&] { *out = store->store->add(vismae::text(key), amount); });
}

char* vismae_store_wait(const vismae_store* store, vismae_text key, int64_t timeout_ms) {
  return vismae::guarded([&] { store->store->wait({vismae::text(key)}, std::chrono::milliseconds(timeout_ms)); });
}

void vismae_store_free(vismae_store* store) {
  vismae_message_free(vismae::guarded([&] { delete store; }));
}

}  // extern "C"
