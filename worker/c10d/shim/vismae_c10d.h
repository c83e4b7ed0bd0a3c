// The whole boundary between Rust and libtorch: plain C, small and total.
//
// Every function that can fail returns null on success, or a message that the caller frees with
// `vismae_message_free`. Results leave through the last parameter, which is written only on success. No exception
// crosses. A tensor is a borrowed pointer to an `at::Tensor`, as the `tch` crate hands it out.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct vismae_store vismae_store;
typedef struct vismae_group vismae_group;
typedef struct vismae_reducer vismae_reducer;
typedef struct vismae_backward vismae_backward;

typedef struct {
  const char* data;
  size_t length;
} vismae_text;

typedef struct {
  const void* const* data;
  size_t length;
} vismae_tensors;

typedef struct {
  int32_t rank;
  int32_t world_size;
  int64_t join_timeout_ms;
  int64_t collective_timeout_ms;
} vismae_group_options;

typedef struct {
  double learning_rate;
  double beta1;
  double beta2;
  double weight_decay;
  double epsilon;
} vismae_adamw_options;

void vismae_message_free(char* message);
void vismae_bytes_free(uint8_t* bytes);

// store.cc. `serve` takes over `listen_fd`, a bound and listening socket.
char* vismae_store_serve(int listen_fd, vismae_text host, uint16_t port, int64_t timeout_ms, vismae_store** out);
// `connect` has a time of its own; whatever waits for a key without saying how long gets `wait_ms`.
char* vismae_store_connect(
    vismae_text host, uint16_t port, int64_t connect_ms, int64_t wait_ms, vismae_store** out);
char* vismae_store_prefixed(const vismae_store* store, vismae_text prefix, vismae_store** out);
char* vismae_store_set(const vismae_store* store, vismae_text key, const uint8_t* bytes, size_t length);
char* vismae_store_get(const vismae_store* store, vismae_text key, uint8_t** out, size_t* out_length);
char* vismae_store_add(const vismae_store* store, vismae_text key, int64_t amount, int64_t* out);
char* vismae_store_wait(const vismae_store* store, vismae_text key, int64_t timeout_ms);
void vismae_store_free(vismae_store* store);

// gloo.cc, nccl.cc: two ways to form a group. Exactly one of `host` and `interface` is not empty.
char* vismae_group_gloo(const vismae_store* store, const vismae_group_options* options, vismae_text host,
                        vismae_text interface, vismae_group** out);
char* vismae_group_nccl(const vismae_store* store, const vismae_group_options* options, int32_t device,
                        vismae_group** out);

// group.cc. `operation` is a `c10d::ReduceOp::RedOpType`. Collectives block until they are done.
char* vismae_group_all_reduce(const vismae_group* group, const void* tensor, uint8_t operation);
char* vismae_group_broadcast(const vismae_group* group, const void* tensor, int32_t root);
char* vismae_group_barrier(const vismae_group* group);
char* vismae_group_abort(const vismae_group* group);
vismae_group* vismae_group_share(const vismae_group* group);
void vismae_group_free(vismae_group* group);

// reducer.cc
char* vismae_reducer_new(const vismae_group* group, vismae_tensors parameters, size_t bucket_bytes,
                         vismae_reducer** out);
char* vismae_reducer_prepare(vismae_reducer* reducer, const void* loss);
void vismae_reducer_free(vismae_reducer* reducer);
// How far the next backward pass is: to be asked from any thread, and to be kept for longer than the reducer. Nanoseconds since this rank had its
// last gradient and only waits for the others; negative before.
vismae_backward* vismae_reducer_backward(const vismae_reducer* reducer);
int64_t vismae_backward_waiting_ns(const vismae_backward* backward);
void vismae_backward_free(vismae_backward* backward);

// gradients.cc: list-in-place operators that the generated bindings leave out.
char* vismae_fused_adamw(vismae_tensors parameters, vismae_tensors gradients, vismae_tensors first_moments,
                         vismae_tensors second_moments, const void* step, const vismae_adamw_options* options);
char* vismae_norm(vismae_tensors tensors, double* out);
char* vismae_scale(vismae_tensors tensors, double factor);
char* vismae_zero(vismae_tensors tensors);

// memory.cc: 1 when the C library accepted every setting, 0 otherwise.
int vismae_keep_memory(void);

#ifdef __cplusplus
}
#endif
