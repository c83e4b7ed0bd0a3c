// Stand-in for Gloo's header: devices and buffers are held by pointer.
#pragma once

#include <memory>

namespace gloo {
namespace transport {

class Device;

class UnboundBuffer {
 public:
  virtual ~UnboundBuffer() = default;
};

}  // namespace transport
}  // namespace gloo
