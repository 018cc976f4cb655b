// How often a scheduler of an H100 (as of first-contact.json) starts an mma.sync.m16n8k16 of
// bfloat16 that nothing hinders: 16 independent ones in turn, in blocks of so many warps, one on
// each multiprocessor. nvcc -O3 -arch=sm_90a; printed on 2026-11-26:
//
//   4 warps: 6.32 cycles per HMMA and scheduler
//   8 warps: 6.03 cycles per HMMA and scheduler
//   12 warps: 6.03 cycles per HMMA and scheduler
//   16 warps: 6.04 cycles per HMMA and scheduler
#include <cstdint>
#include <cstdio>
__global__ void k(float* out, long long* clocks, int rounds) {
  float c[16][4];
  uint32_t a[4], b[2];
  for (int i = 0; i < 16; ++i)
    for (int j = 0; j < 4; ++j) c[i][j] = threadIdx.x * i;
  for (int i = 0; i < 4; ++i) a[i] = threadIdx.x * 77 + i;
  b[0] = threadIdx.x;
  b[1] = threadIdx.x * 3;
  __syncthreads();
  long long t = clock64();
  for (int r = 0; r < rounds; ++r)
#pragma unroll
    for (int i = 0; i < 16; ++i)
      asm volatile(
          "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
          "{%8,%9}, {%0,%1,%2,%3};"
          : "+f"(c[i][0]), "+f"(c[i][1]), "+f"(c[i][2]), "+f"(c[i][3])
          : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  __syncthreads();
  t = clock64() - t;
  float s = 0;
  for (int i = 0; i < 16; ++i)
    for (int j = 0; j < 4; ++j) s += c[i][j];
  out[blockIdx.x * blockDim.x + threadIdx.x] = s;
  if (!threadIdx.x && !blockIdx.x) *clocks = t;
}
int main() {
  float* o;
  long long* c;
  cudaMalloc(&o, 1 << 22);
  cudaMallocManaged(&c, 8);
  for (int w : {4, 8, 12, 16})
    for (int it = 0; it < 2; ++it) {
      k<<<132, 32 * w>>>(o, c, 500);
      cudaDeviceSynchronize();
      if (it)
        printf("%d warps: %.2f cycles per HMMA and scheduler\n", w,
               double(*c) / (500.0 * 16 * w / 4));
    }
}
