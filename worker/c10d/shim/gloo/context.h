// Stand-in for Gloo's header: a context is held by pointer, and asked only to change its timeout.
#pragma once

#include <chrono>

namespace gloo {

class Context {
 public:
  void setTimeout(std::chrono::milliseconds timeout);
};

}  // namespace gloo
