// Producers store to shared memory and arrive at a named barrier, at which consumers wait before
// they load: ordered, as the PTX manual has it. compute-sanitizer's racecheck (CUDA 13.0) reports
// a hazard nevertheless, as where the barriers are left out.
// nvcc -arch=sm_90a racecheck-barriers.cu && compute-sanitizer --tool racecheck ./a.out [without]
#include <cstdint>
#include <cstdio>

__device__ void arrive(uint32_t barrier) {
  asm volatile("barrier.cta.arrive.aligned %0, 256;" ::"r"(barrier) : "memory");
}
__device__ void wait(uint32_t barrier) {
  asm volatile("barrier.cta.sync.aligned %0, 256;" ::"r"(barrier) : "memory");
}

template <bool kBarriers>
__global__ void meet(int* out) {
  __shared__ int words[2][128];
  const int thread = threadIdx.x % 128;
  for (int turn = 0; turn < 4; ++turn) {
    const uint32_t full = 3 + turn % 2, free = full + 2;
    if (threadIdx.x >= 128) {
      if (kBarriers && turn >= 2) wait(free);
      words[turn % 2][thread] = turn * 1000 + thread;
      if (kBarriers) arrive(full);
    } else {
      if (kBarriers) wait(full);
      out[turn * 128 + thread] = words[turn % 2][127 - thread];
      if (kBarriers && turn < 2) arrive(free);
    }
  }
}

int main(int count, char**) {
  int *out, host[512], wrong = 0;
  cudaMalloc(&out, sizeof host);
  count > 1 ? meet<false><<<1, 256>>>(out) : meet<true><<<1, 256>>>(out);
  cudaMemcpy(host, out, sizeof host, cudaMemcpyDeviceToHost);
  for (int i = 0; i < 512; ++i) wrong += host[i] != i / 128 * 1000 + 127 - i % 128;
  printf("%d wrong, %s\n", wrong, cudaGetErrorString(cudaGetLastError()));
}
