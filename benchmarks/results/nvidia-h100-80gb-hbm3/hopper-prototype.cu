// Prototype: fused OctConv forward, 3x3 s1 p1 bf16 NHWC, sm_90a. CTAs are specialised: high tiles or low tiles.
#include <cstdio>
#include <cstdlib>
#include <cstdint>
#include <cmath>
#include <vector>
#include <algorithm>
#include <cuda.h>
#include <cuda_runtime.h>
#include <cuda_bf16.h>
#define DI __device__ __forceinline__
#define CK(x) do{auto e_=(x); if(e_!=0){printf("ERR %s:%d code %d %s\n",__FILE__,__LINE__,(int)e_,cudaGetErrorString((cudaError_t)e_));fflush(stdout);exit(1);}}while(0)
typedef __nv_bfloat16 bf;
DI uint32_t s2u(const void*p){return (uint32_t)__cvta_generic_to_shared(p);}
DI void mb_init(uint32_t b,uint32_t n){asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;"::"r"(b),"r"(n));}
DI void mb_expect(uint32_t b,uint32_t n){asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;"::"r"(b),"r"(n):"memory");}
DI void mb_arrive(uint32_t b){asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];"::"r"(b):"memory");}
DI bool mb_try(uint32_t b,uint32_t ph){uint32_t r;asm volatile("{.reg .pred p;\n mbarrier.try_wait.parity.shared::cta.b64 p,[%1],%2;\n selp.u32 %0,1,0,p;}":"=r"(r):"r"(b),"r"(ph):"memory");return r;}
DI void mb_wait(uint32_t b,uint32_t ph){
#ifdef WATCHDOG
 for(long i=0;!mb_try(b,ph);i++) if(i>2000000){printf("HANG blk %d thr %d bar %u ph %u\n",blockIdx.x,threadIdx.x,b&1023,ph);__trap();}
#else
 while(!mb_try(b,ph)){}
#endif
}
DI void tma4(uint32_t d,const CUtensorMap*m,uint32_t b,int c,int x,int y,int n){
 asm volatile("cp.async.bulk.tensor.4d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3,%4,%5,%6}], [%2];"
 ::"r"(d),"l"(m),"r"(b),"r"(c),"r"(x),"r"(y),"r"(n):"memory");}
DI void tma5(uint32_t d,const CUtensorMap*m,uint32_t b,int c,int e,int i,int t,int tap){
 asm volatile("cp.async.bulk.tensor.5d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3,%4,%5,%6,%7}], [%2];"
 ::"r"(d),"l"(m),"r"(b),"r"(c),"r"(e),"r"(i),"r"(t),"r"(tap):"memory");}
DI void wfence(){asm volatile("wgmma.fence.sync.aligned;":::"memory");}
DI void wcommit(){asm volatile("wgmma.commit_group.sync.aligned;":::"memory");}
template<int N> DI void wwait(){asm volatile("wgmma.wait_group.sync.aligned %0;"::"n"(N):"memory");}
DI uint64_t mkdesc(uint32_t addr,uint32_t sbo_rows){ return (uint64_t)(addr>>4)|((uint64_t)1<<16)|((uint64_t)(sbo_rows*8)<<32)|((uint64_t)1<<62);}
template<int N> DI void mm(float*c,uint64_t a,uint64_t b);
template<> DI void mm<32>(float*c,uint64_t a,uint64_t b){
 asm volatile("wgmma.mma_async.sync.aligned.m64n32k16.f32.bf16.bf16 {%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15}, %16, %17, 1, 1, 1, 0, 0;\n":"+f"(c[0]),"+f"(c[1]),"+f"(c[2]),"+f"(c[3]),"+f"(c[4]),"+f"(c[5]),"+f"(c[6]),"+f"(c[7]),"+f"(c[8]),"+f"(c[9]),"+f"(c[10]),"+f"(c[11]),"+f"(c[12]),"+f"(c[13]),"+f"(c[14]),"+f"(c[15]):"l"(a),"l"(b));}
template<> DI void mm<64>(float*c,uint64_t a,uint64_t b){
 asm volatile("wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31}, %32, %33, 1, 1, 1, 0, 0;\n":"+f"(c[0]),"+f"(c[1]),"+f"(c[2]),"+f"(c[3]),"+f"(c[4]),"+f"(c[5]),"+f"(c[6]),"+f"(c[7]),"+f"(c[8]),"+f"(c[9]),"+f"(c[10]),"+f"(c[11]),"+f"(c[12]),"+f"(c[13]),"+f"(c[14]),"+f"(c[15]),"+f"(c[16]),"+f"(c[17]),"+f"(c[18]),"+f"(c[19]),"+f"(c[20]),"+f"(c[21]),"+f"(c[22]),"+f"(c[23]),"+f"(c[24]),"+f"(c[25]),"+f"(c[26]),"+f"(c[27]),"+f"(c[28]),"+f"(c[29]),"+f"(c[30]),"+f"(c[31]):"l"(a),"l"(b));}
template<> DI void mm<128>(float*c,uint64_t a,uint64_t b){
 asm volatile("wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31,%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63}, %64, %65, 1, 1, 1, 0, 0;\n":"+f"(c[0]),"+f"(c[1]),"+f"(c[2]),"+f"(c[3]),"+f"(c[4]),"+f"(c[5]),"+f"(c[6]),"+f"(c[7]),"+f"(c[8]),"+f"(c[9]),"+f"(c[10]),"+f"(c[11]),"+f"(c[12]),"+f"(c[13]),"+f"(c[14]),"+f"(c[15]),"+f"(c[16]),"+f"(c[17]),"+f"(c[18]),"+f"(c[19]),"+f"(c[20]),"+f"(c[21]),"+f"(c[22]),"+f"(c[23]),"+f"(c[24]),"+f"(c[25]),"+f"(c[26]),"+f"(c[27]),"+f"(c[28]),"+f"(c[29]),"+f"(c[30]),"+f"(c[31]),"+f"(c[32]),"+f"(c[33]),"+f"(c[34]),"+f"(c[35]),"+f"(c[36]),"+f"(c[37]),"+f"(c[38]),"+f"(c[39]),"+f"(c[40]),"+f"(c[41]),"+f"(c[42]),"+f"(c[43]),"+f"(c[44]),"+f"(c[45]),"+f"(c[46]),"+f"(c[47]),"+f"(c[48]),"+f"(c[49]),"+f"(c[50]),"+f"(c[51]),"+f"(c[52]),"+f"(c[53]),"+f"(c[54]),"+f"(c[55]),"+f"(c[56]),"+f"(c[57]),"+f"(c[58]),"+f"(c[59]),"+f"(c[60]),"+f"(c[61]),"+f"(c[62]),"+f"(c[63]):"l"(a),"l"(b));}
template<> DI void mm<160>(float*c,uint64_t a,uint64_t b){
 asm volatile("wgmma.mma_async.sync.aligned.m64n160k16.f32.bf16.bf16 {%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31,%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63,%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79}, %80, %81, 1, 1, 1, 0, 0;\n":"+f"(c[0]),"+f"(c[1]),"+f"(c[2]),"+f"(c[3]),"+f"(c[4]),"+f"(c[5]),"+f"(c[6]),"+f"(c[7]),"+f"(c[8]),"+f"(c[9]),"+f"(c[10]),"+f"(c[11]),"+f"(c[12]),"+f"(c[13]),"+f"(c[14]),"+f"(c[15]),"+f"(c[16]),"+f"(c[17]),"+f"(c[18]),"+f"(c[19]),"+f"(c[20]),"+f"(c[21]),"+f"(c[22]),"+f"(c[23]),"+f"(c[24]),"+f"(c[25]),"+f"(c[26]),"+f"(c[27]),"+f"(c[28]),"+f"(c[29]),"+f"(c[30]),"+f"(c[31]),"+f"(c[32]),"+f"(c[33]),"+f"(c[34]),"+f"(c[35]),"+f"(c[36]),"+f"(c[37]),"+f"(c[38]),"+f"(c[39]),"+f"(c[40]),"+f"(c[41]),"+f"(c[42]),"+f"(c[43]),"+f"(c[44]),"+f"(c[45]),"+f"(c[46]),"+f"(c[47]),"+f"(c[48]),"+f"(c[49]),"+f"(c[50]),"+f"(c[51]),"+f"(c[52]),"+f"(c[53]),"+f"(c[54]),"+f"(c[55]),"+f"(c[56]),"+f"(c[57]),"+f"(c[58]),"+f"(c[59]),"+f"(c[60]),"+f"(c[61]),"+f"(c[62]),"+f"(c[63]),"+f"(c[64]),"+f"(c[65]),"+f"(c[66]),"+f"(c[67]),"+f"(c[68]),"+f"(c[69]),"+f"(c[70]),"+f"(c[71]),"+f"(c[72]),"+f"(c[73]),"+f"(c[74]),"+f"(c[75]),"+f"(c[76]),"+f"(c[77]),"+f"(c[78]),"+f"(c[79]):"l"(a),"l"(b));}

template<int N> DI void mr(float*c,const uint32_t*a,uint64_t b);
template<> DI void mr<32>(float*c,const uint32_t*a,uint64_t b){
 asm volatile("wgmma.mma_async.sync.aligned.m64n32k16.f32.bf16.bf16 {%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15}, {%16,%17,%18,%19}, %20, 1, 1, 1, 0;\n":"+f"(c[0]),"+f"(c[1]),"+f"(c[2]),"+f"(c[3]),"+f"(c[4]),"+f"(c[5]),"+f"(c[6]),"+f"(c[7]),"+f"(c[8]),"+f"(c[9]),"+f"(c[10]),"+f"(c[11]),"+f"(c[12]),"+f"(c[13]),"+f"(c[14]),"+f"(c[15]):"r"(a[0]),"r"(a[1]),"r"(a[2]),"r"(a[3]),"l"(b));}
template<> DI void mr<64>(float*c,const uint32_t*a,uint64_t b){
 asm volatile("wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31}, {%32,%33,%34,%35}, %36, 1, 1, 1, 0;\n":"+f"(c[0]),"+f"(c[1]),"+f"(c[2]),"+f"(c[3]),"+f"(c[4]),"+f"(c[5]),"+f"(c[6]),"+f"(c[7]),"+f"(c[8]),"+f"(c[9]),"+f"(c[10]),"+f"(c[11]),"+f"(c[12]),"+f"(c[13]),"+f"(c[14]),"+f"(c[15]),"+f"(c[16]),"+f"(c[17]),"+f"(c[18]),"+f"(c[19]),"+f"(c[20]),"+f"(c[21]),"+f"(c[22]),"+f"(c[23]),"+f"(c[24]),"+f"(c[25]),"+f"(c[26]),"+f"(c[27]),"+f"(c[28]),"+f"(c[29]),"+f"(c[30]),"+f"(c[31]):"r"(a[0]),"r"(a[1]),"r"(a[2]),"r"(a[3]),"l"(b));}

#ifndef NTHR
#define NTHR 512
#endif
#ifndef SINGLES
#define SINGLES 1
#endif
struct Maps{CUtensorMap hi[4],lo_h,lo_l,w;};
struct Args{const bf*xh; bf*yh; bf*yl; int N,Hq,Wq,nlow,tx,ty,th,ltx,lty,tl,dbg;}; // dbg 1: no loads, 2: no stores // th, tl: items
constexpr int SLOT=24576, NW=6, PSLOT=20480, LAREA=41984, POFF=SLOT*NW, SMEM=POFF+2*LAREA;
constexpr int NPOOL=192;
// geometry G: 16 = 16x8 quads, wide image; 14 = one 14-wide image; 7 = two 7x7 images
template<int G> struct Geo;
template<> struct Geo<16>{static constexpr int HW=17,HH=9,HN=1,LW=18,LH=10,KW=18,KH=18,KN=1;};
template<> struct Geo<14>{static constexpr int HW=16,HH=9,HN=1,LW=16,LH=10,KW=16,KH=16,KN=1;};
template<> struct Geo<7> {static constexpr int HW=8, HH=8,HN=2,LW=9, LH=9, KW=9, KH=9, KN=4;};
#define BAR(i) (bar+(i)*8)
enum{FW=0,EW=NW,FP=2*NW,EP=2*NW+4};   // barriers: weights full/empty, planes full/empty
struct Ring{int s=0;uint32_t ph=0; template<int M> DI void adv(int k=1){s+=k; if(s>=M){s-=M;ph^=1;}}};
DI void unpack(const uint4&v,float*f){const uint32_t*u=(const uint32_t*)&v;
#pragma unroll
 for(int i=0;i<4;i++){f[2*i]=__uint_as_float(u[i]<<16);f[2*i+1]=__uint_as_float(u[i]&0xffff0000u);}}
DI uint4 pool4(const uint4&a,const uint4&b,const uint4&c,const uint4&d){float A[8],B[8],C[8],D[8];unpack(a,A);unpack(b,B);unpack(c,C);unpack(d,D);uint4 o;uint32_t*u=(uint32_t*)&o;
#pragma unroll
 for(int i=0;i<4;i++){__nv_bfloat162 v=__floats2bfloat162_rn(((A[2*i]+B[2*i])+(C[2*i]+D[2*i]))*.25f,((A[2*i+1]+B[2*i+1])+(C[2*i+1]+D[2*i+1]))*.25f);u[i]=*(uint32_t*)&v;}
 return o;}
// 8 consecutive channels of one row: n8 tiles j..j+3, row half h
DI uint4 pack8(const float*c,int h){uint4 o;uint32_t*u=(uint32_t*)&o;
#pragma unroll
 for(int j=0;j<4;j++){__nv_bfloat162 v=__floats2bfloat162_rn(c[j*4+h*2],c[j*4+h*2+1]);u[j]=*(uint32_t*)&v;}
 return o;}
template<int C,int NB,int NL,int G,int RS> __global__ void __launch_bounds__(NTHR,1) octk(const __grid_constant__ Maps M,const __grid_constant__ Args A){
 typedef Geo<G> Q;
 constexpr int NK=(C+63)/64, KT=(C%64?C%64:64)/16, NBLK=(C+NB-1)/NB, NLBLK=(C+NL-1)/NL;
 constexpr bool RESH=NK==1&&NBLK==1, RESL=NK==1&&NLBLK==1&&NL<=64;
 constexpr int TPS=NL<=64?3:1;
 extern __shared__ __align__(1024) uint8_t sm[];
 __shared__ __align__(8) uint64_t bars[2*NW+8];
 const uint32_t base=s2u(sm), bar=s2u(bars);
 if(base&1023) __trap();
 const int tid=threadIdx.x, wg=__shfl_sync(~0u,tid/128,0);
 const int lowidx=(int)((long)blockIdx.x*A.nlow/gridDim.x);
 const bool islow=(int)((long)(blockIdx.x+1)*A.nlow/gridDim.x)>lowidx;
 const int nhigh=gridDim.x-A.nlow, hidx=blockIdx.x-lowidx;
 if(tid==0){for(int i=0;i<NW;i++){mb_init(BAR(FW+i),1);mb_init(BAR(EW+i),8);}
  for(int i=0;i<4;i++){mb_init(BAR(FP+i),(islow&&i==1)?NPOOL:1);mb_init(BAR(EP+i),8);}
  asm volatile("fence.mbarrier_init.release.cluster;":::"memory");}
 __syncthreads();
 if(wg<2){
  asm volatile("setmaxnreg.dec.sync.aligned.u32 56;");
  const int warp=tid/32;
  if(!islow){
   if(tid==0){ // planes
    Ring p; 
    for(int it=hidx;it<A.th;it+=nhigh){
     int t=it/NBLK; int X=(t%A.tx)*16; t/=A.tx; int Y=(t%A.ty)*8; int n=(t/A.ty)*Q::HN;
     for(int k=0;k<NK;k++){
      mb_wait(BAR(EP+p.s),p.ph^1);mb_wait(BAR(EP+p.s+1),p.ph^1);
      if(A.dbg&1) mb_arrive(BAR(FP+p.s)); else {mb_expect(BAR(FP+p.s),Q::LW*Q::LH*Q::HN*128);
      tma4(base+POFF+p.s*PSLOT,&M.lo_h,BAR(FP+p.s),k*64,X-1,Y-1,n);}
      mb_arrive(BAR(FP+p.s+1)); p.adv<4>(2);}
     for(int k=0;k<NK;k++) for(int q=0;q<4;q++){int py=q>>1,px=q&1;
      mb_wait(BAR(EP+p.s),p.ph^1); if(A.dbg&1) mb_arrive(BAR(FP+p.s)); else {mb_expect(BAR(FP+p.s),Q::HW*Q::HH*Q::HN*128);
      tma4(base+POFF+p.s*PSLOT,&M.hi[q],BAR(FP+p.s),k*64,X-px,Y-py,n);} p.adv<4>();}
    }
   } else if(tid==32){ // weights
    Ring w; bool first=true;
    for(int it=hidx;it<A.th;it+=nhigh){ if(RESH&&!first) break; first=false;
     int n0=(it%NBLK)*NB;
     for(int part=0;part<2;part++) for(int k=0;k<NK;k++) for(int r=0;r<3;r++){
      mb_wait(BAR(EW+w.s),w.ph^1); if(A.dbg&1){mb_arrive(BAR(FW+w.s));w.adv<NW>();continue;} mb_expect(BAR(FW+w.s),3*NB*128);
      #pragma unroll 1
      for(int s=0;s<3;s++) for(int b=0;b<NB/32;b++)
       tma5(base+w.s*SLOT+(s*NB+b*32)*128,&M.w,BAR(FW+w.s),(part?0:C)+k*64,0,(n0+b*32)/8,0,r*3+s);
      w.adv<NW>();}
    }
   }
  } else {
   if(tid==0){ // x_low halo, area 0
    uint32_t ph=1;
    for(int it=lowidx;it<A.tl;it+=A.nlow){
     int t=it/NLBLK; int X=(t%A.ltx)*16; t/=A.ltx; int Y=(t%A.lty)*16; int n=(t/A.lty)*Q::KN;
     for(int k=0;k<NK;k++){ mb_wait(BAR(EP),ph); if(A.dbg&1) mb_arrive(BAR(FP)); else {mb_expect(BAR(FP),Q::KW*Q::KH*Q::KN*128);
      tma4(base+POFF,&M.lo_l,BAR(FP),k*64,X-1,Y-1,n);} ph^=1;}
    }
   } else if(tid==32){ Ring w; bool first=true;
    for(int it=lowidx;it<A.tl;it+=A.nlow){ if(RESL&&!first) break; first=false;
     int n0=C+(it%NLBLK)*NL;
     for(int k=0;k<NK;k++) for(int part=0;part<2;part++) for(int r=0;r<9;r+=TPS){
      mb_wait(BAR(EW+w.s),w.ph^1); if(A.dbg&1){mb_arrive(BAR(FW+w.s));w.adv<NW>();continue;} mb_expect(BAR(FW+w.s),TPS*NL*128);
      #pragma unroll 1
      for(int s=0;s<TPS;s++) for(int b=0;b<NL/32;b++)
       tma5(base+w.s*SLOT+(s*NL+b*32)*128,&M.w,BAR(FW+w.s),(part?0:C)+k*64,0,(n0+b*32)/8,0,r+s);
      w.adv<NW>();}
    }
   } else if(warp>=2){ // pool into area 1
    const int pt=tid-64, c8=pt&7, q0=pt>>3; uint32_t ph=1;
    const int W=A.Wq*2,H=A.Hq*2; constexpr int R=Q::KW*Q::KH*Q::KN, ST=NPOOL/8;
    for(int it=lowidx;it<A.tl;it+=A.nlow){
     int t=it/NLBLK; int X=(t%A.ltx)*16-1; t/=A.ltx; int Y=(t%A.lty)*16-1; int n=(t/A.lty)*Q::KN;
     for(int k=0;k<NK;k++){ mb_wait(BAR(EP+1),ph); ph^=1;
      if(k*64+c8*8<C&&!(A.dbg&1)){
       const bf*xb=A.xh+k*64+c8*8;
       #pragma unroll 1
       for(int q=q0;q<R;q+=2*ST){ uint4 v[2][4]; 
        #pragma unroll
        for(int u=0;u<2;u++){int qq=q+u*ST; int nn=n+qq/(Q::KW*Q::KH),rem=qq%(Q::KW*Q::KH),yy=Y+rem/Q::KW,xx=X+rem%Q::KW;
         bool ok=qq<R&&nn<A.N&&(unsigned)yy<(unsigned)A.Hq&&(unsigned)xx<(unsigned)A.Wq;
         const bf*g=xb+((size_t)(nn*H+2*yy)*W+2*xx)*C;
         #pragma unroll
         for(int z=0;z<4;z++) v[u][z]=ok?__ldg((const uint4*)(g+((z>>1)*W+(z&1))*C)):make_uint4(0,0,0,0);}
        #pragma unroll
        for(int u=0;u<2;u++){int qq=q+u*ST; if(qq<R){uint4 o=pool4(v[u][0],v[u][1],v[u][2],v[u][3]);
          asm volatile("st.shared.v4.b32 [%0],{%1,%2,%3,%4};"::"r"(base+POFF+LAREA+qq*128+((c8^(qq&7))<<4)),"r"(o.x),"r"(o.y),"r"(o.z),"r"(o.w):"memory");}}
       }}
      asm volatile("fence.proxy.async.shared::cta;":::"memory"); mb_arrive(BAR(FP+1));}
    }
   }
  }
 } else {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 200;");
  const int cw=wg-2, lane=tid&31, w4=(tid>>5)&3; const bool l0=lane==0;
  const uint64_t BD=mkdesc(0,8);
  if(!islow){
   float acc[2*NB]; // [dy][dx=1 | dx=0][NB/2]
   Ring p,w;
   const int lkc=(lane>>4)*16;
   const uint32_t hoff=G==7?64*cw:8*cw, loff=G==7?81*cw:8*cw, lrow=hoff+(2*w4+((lane>>3)&1))*Q::HW+(lane&7);
   #pragma unroll 1
   for(int it=hidx;it<A.th;it+=nhigh){
    #pragma unroll
    for(int i=0;i<NB/2;i++) acc[i]=0;
    if(RESH){w.s=0;w.ph=0;}
    auto lh=[&](auto KS){ constexpr int ks=decltype(KS)::value;
     mb_wait(BAR(FP+p.s),p.ph);
     const uint64_t ad=mkdesc(base+POFF+p.s*PSLOT+loff*128,Q::LW);
     mb_wait(BAR(FW+w.s),w.ph); wfence();
     #pragma unroll
     for(int r=0;r<3;r++){ if(r) mb_wait(BAR(FW+w.s+r),w.ph);
      const uint64_t bd=BD+((base+(w.s+r)*SLOT)>>4);
      #pragma unroll
      for(int s=0;s<3;s++)
      #pragma unroll
      for(int kk=0;kk<ks;kk++) mm<NB>(acc,ad+((r*Q::LW+s)*8+kk*2),bd+(s*NB*8+kk*2));}
     wcommit(); wwait<0>();
     if(l0){ mb_arrive(BAR(EP+p.s));mb_arrive(BAR(EP+p.s+1)); if(!RESH)for(int r=0;r<3;r++)mb_arrive(BAR(EW+w.s+r));}
     p.adv<4>(2); w.adv<NW>(3);};
    #pragma unroll 1
    for(int k=0;k<NK-(KT!=4);k++) lh(std::integral_constant<int,4>{});
    if(KT!=4) lh(std::integral_constant<int,KT>{});
    #pragma unroll
    for(int i=0;i<NB/2;i++) acc[NB/2+i]=acc[NB+i]=acc[NB+NB/2+i]=acc[i];
    int pend=-1;
    auto hh=[&](auto KS){ constexpr int ks=decltype(KS)::value;
     #pragma unroll
     for(int r=0;r<3;r++) mb_wait(BAR(FW+w.s+r),w.ph);
     if constexpr(RS){ // A fragments by ldmatrix, double buffered by window
      uint32_t a[2][8]; constexpr int KH2=ks/2; const uint64_t bd=BD+((base+w.s*SLOT)>>4);
      #pragma unroll
      for(int v=0;v<=32;v++){ if(KH2<2&&(v&1)&&v<32) continue; constexpr int dv=KH2<2?2:1;
       if(v){ const int u=v-dv,q=u>>3,py=q>>1,px=q&1,oy=(u>>2)&1,ox=(u>>1)&1,kh=u&1,wy=2*oy-py,wx=2*ox-px;
        wfence();
        #pragma unroll
        for(int z=0;z<4;z++){ const int dy=z>>1,dx=z&1,r=wy+1-dy,s=wx+1-dx; if(r<0||r>2||s<0||s>2) continue;
         #pragma unroll
         for(int kk=0;kk<2;kk++) mr<NB>(acc+(dy*2+1-dx)*(NB/2),&a[(u/dv)&1][kk*4],bd+(r*(SLOT/16)+s*NB*8+kh*4+kk*2));}
        wcommit();}
       if(v<32){ const int q=v>>3,oy=(v>>2)&1,ox=(v>>1)&1,kh=v&1;
        if((v&7)==0) mb_wait(BAR(FP+p.s),p.ph);
        if(v>=2*dv) wwait<1>(); // the group that read this buffer
        const uint32_t idx=lrow+oy*Q::HW+ox, ra=base+POFF+p.s*PSLOT+idx*128, xo=(idx&7)<<4;
        #pragma unroll
        for(int kk=0;kk<2;kk++){uint32_t*f=&a[(v/dv)&1][kk*4];
         asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3},[%4];":"=r"(f[0]),"=r"(f[1]),"=r"(f[2]),"=r"(f[3]):"r"(ra+((kh*64+kk*32+lkc)^xo)):"memory");}
        if((v&7)==8-dv){ __syncwarp(); if(l0) mb_arrive(BAR(EP+p.s)); p.adv<4>();}
       }
      }
      wwait<0>();
     } else {
     #pragma unroll
     for(int q=0;q<4;q++){ const int py=q>>1,px=q&1;
      mb_wait(BAR(FP+p.s),p.ph);
      const uint64_t ad=mkdesc(base+POFF+p.s*PSLOT+hoff*128,Q::HW);
      const uint64_t bd=BD+((base+w.s*SLOT)>>4);
      wfence();
      #pragma unroll
      for(int z=0;z<16;z++){ // z = dy, dx, oy, ox: window offset (oy,ox) inside this plane
       const int dy=z>>3,dx=(z>>2)&1,oy=(z>>1)&1,ox=z&1, wy=2*oy-py, wx=2*ox-px, r=wy+1-dy, s=wx+1-dx;
       if(r<0||r>2||s<0||s>2) continue;
       #pragma unroll
       for(int kk=0;kk<ks;kk++) mm<NB>(acc+(dy*2+1-dx)*(NB/2),ad+((oy*Q::HW+ox)*8+kk*2),bd+(r*(SLOT/16)+s*NB*8+kk*2));}
      wcommit();
      if(q){ wwait<1>(); if(l0) mb_arrive(BAR(EP+pend)); }
      pend=p.s; p.adv<4>();}
     wwait<0>();
     if(l0) mb_arrive(BAR(EP+pend)); }
     if(l0){ if(!RESH)for(int r=0;r<3;r++)mb_arrive(BAR(EW+w.s+r));}
     w.adv<NW>(3);};
    #pragma unroll 1
    for(int k=0;k<NK-(KT!=4);k++) hh(std::integral_constant<int,4>{});
    if(KT!=4) hh(std::integral_constant<int,KT>{});
    // epilogue
    int t=it/NBLK; int X=(t%A.tx)*16; t/=A.tx; int Y=(t%A.ty)*8; int n=(t/A.ty)*Q::HN;
    if(G==7) n+=cw; else X+=8*cw;
    X+=lane>>2; Y+=2*w4; const int n0=(it%NBLK)*NB+8*(lane&3);
    #pragma unroll
    for(int h=0;h<2;h++) if(X<A.Wq&&Y+h<A.Hq&&n<A.N&&!(A.dbg&2)){
     #pragma unroll
     for(int dy=0;dy<2;dy++)
     #pragma unroll
     for(int dx=0;dx<2;dx++){ bf*g=A.yh+((size_t)(n*2*A.Hq+2*(Y+h)+dy)*(2*A.Wq)+2*X+dx)*C+n0;
      #pragma unroll
      for(int b=0;b<NB/32;b++) if(C%NB==0||n0+b*32<C) *(uint4*)(g+b*32)=pack8(acc+dy*NB+(dx?0:NB/2)+b*16,h);}}
   }
  } else {
   float acc[NL]; // two patches x NL/2
   Ring w; uint32_t ph=0;
   uint32_t off[2];
   #pragma unroll
   for(int i=0;i<2;i++) off[i]=G==7?81*(2*cw+i):cw*8*Q::KW+8*i;
   #pragma unroll 1
   for(int it=lowidx;it<A.tl;it+=A.nlow){
    #pragma unroll
    for(int i=0;i<NL;i++) acc[i]=0;
    if(RESL){w.s=0;w.ph=0;}
    auto step=[&](auto KS){ constexpr int ks=decltype(KS)::value;
     #pragma unroll 1
     for(int part=0;part<2;part++){
      mb_wait(BAR(FP+part),ph);
      const uint64_t ad=mkdesc(base+POFF+part*LAREA,Q::KW);
      int prev=-1;
      #pragma unroll
      for(int r=0;r<9;r+=TPS){ mb_wait(BAR(FW+w.s),w.ph);
       const uint64_t bd=BD+((base+w.s*SLOT)>>4);
       wfence();
       #pragma unroll
       for(int s=0;s<TPS;s++)
       #pragma unroll
       for(int i=0;i<2;i++)
       #pragma unroll
       for(int kk=0;kk<ks;kk++) mm<NL>(acc+i*(NL/2),ad+(off[i]+(r+s)/3*Q::KW+(r+s)%3)*8+kk*2,bd+(s*NL*8+kk*2));
       wcommit();
       if(r){wwait<1>(); if(!RESL&&l0) mb_arrive(BAR(EW+prev));}
       prev=w.s; w.adv<NW>();}
      wwait<0>(); if(l0){ if(!RESL) mb_arrive(BAR(EW+prev)); mb_arrive(BAR(EP+part));}
     }
     ph^=1;};
    #pragma unroll 1
    for(int k=0;k<NK-(KT!=4);k++) step(std::integral_constant<int,4>{});
    if(KT!=4) step(std::integral_constant<int,KT>{});
    int t=it/NLBLK; int X=(t%A.ltx)*16; t/=A.ltx; int Y=(t%A.lty)*16; int n=(t/A.lty)*Q::KN;
    const int n0=(it%NLBLK)*NL+8*(lane&3);
    #pragma unroll
    for(int i=0;i<2;i++){ int x=X+(lane>>2)+(G==7?0:8*i), nn=n+(G==7?2*cw+i:0);
     #pragma unroll
     for(int h=0;h<2;h++){ int y=Y+(G==7?0:8*cw)+2*w4+h; if(x<A.Wq&&y<A.Hq&&nn<A.N&&!(A.dbg&2)){ bf*g=A.yl+((size_t)(nn*A.Hq+y)*A.Wq+x)*C+n0;
      #pragma unroll
      for(int b=0;b<NL/32;b++) if(C%NL==0||n0+b*32<C) *(uint4*)(g+b*32)=pack8(acc+i*(NL/2)+b*16,h);}}}
   }
  }
 }
}
// ---------------- host
__global__ void fillk(bf*p,size_t n,float s,uint32_t seed){for(size_t i=blockIdx.x*(size_t)blockDim.x+threadIdx.x;i<n;i+=(size_t)gridDim.x*blockDim.x){uint32_t h=(uint32_t)i*2654435761u+seed*40503u+1;h^=h>>16;h*=0x85ebca6bu;h^=h>>13;h*=0xc2b2ae35u;h^=h>>16;p[i]=__float2bfloat16(((h&0xffff)/32768.f-1.f)*s);}}
DI float rb(float x){return __bfloat162float(__float2bfloat16(x));}
__global__ void refk(const bf*xh,const bf*xl,const bf*w,float*yh,float*yl,int N,int Hq,int Wq,int C){
 int H=2*Hq,W=2*Wq; size_t nh=(size_t)N*H*W*C,nl=(size_t)N*Hq*Wq*C;
 for(size_t i=blockIdx.x*(size_t)blockDim.x+threadIdx.x;i<nh+nl;i+=(size_t)gridDim.x*blockDim.x){bool lo=i>=nh; size_t j=lo?i-nh:i; int co=j%C; j/=C; int ww=lo?Wq:W,hh=lo?Hq:H; int x=j%ww;j/=ww;int y=j%hh;int n=j/hh; float a=0;
  const bf*wp=w+(size_t)(co+(lo?C:0))*9*2*C; int qx=lo?x:x/2,qy=lo?y:y/2;
  for(int r=0;r<3;r++)for(int s=0;s<3;s++){const bf*wt=wp+(r*3+s)*2*C;
   int Y=qy+r-1,X=qx+s-1; if(Y>=0&&Y<Hq&&X>=0&&X<Wq){const bf*g=xl+((size_t)(n*Hq+Y)*Wq+X)*C; for(int c=0;c<C;c++)a+=__bfloat162float(g[c])*__bfloat162float(wt[C+c]);
    if(lo){const bf*h=xh+((size_t)(n*H+2*Y)*W+2*X)*C; for(int c=0;c<C;c++){float m=((__bfloat162float(h[c])+__bfloat162float(h[C+c]))+(__bfloat162float(h[W*C+c])+__bfloat162float(h[W*C+C+c])))*.25f; a+=rb(m)*__bfloat162float(wt[c]);}}}
   if(!lo){int Y2=y+r-1,X2=x+s-1; if(Y2>=0&&Y2<H&&X2>=0&&X2<W){const bf*g=xh+((size_t)(n*H+Y2)*W+X2)*C; for(int c=0;c<C;c++)a+=__bfloat162float(g[c])*__bfloat162float(wt[c]);}}}
  if(lo)yl[i-nh]=a; else yh[i]=a;}}
typedef CUresult(*Enc)(CUtensorMap*,CUtensorMapDataType,cuuint32_t,void*,const cuuint64_t*,const cuuint64_t*,const cuuint32_t*,const cuuint32_t*,CUtensorMapInterleave,CUtensorMapSwizzle,CUtensorMapL2promotion,CUtensorMapFloatOOBfill);
static Enc enc;
static CUtensorMap mk(const void*p,int rank,std::vector<cuuint64_t>d,std::vector<cuuint64_t>st,std::vector<cuuint32_t>bx){
 CUtensorMap m; cuuint32_t es[5]={1,1,1,1,1};
 CUresult r=enc(&m,CU_TENSOR_MAP_DATA_TYPE_BFLOAT16,rank,(void*)p,d.data(),st.data(),bx.data(),es,CU_TENSOR_MAP_INTERLEAVE_NONE,CU_TENSOR_MAP_SWIZZLE_128B,CU_TENSOR_MAP_L2_PROMOTION_L2_256B,CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
 if(r){printf("ERR encode %d\n",(int)r);exit(1);} return m;}
struct Prob{int N,H,C; bf*xh,*xl,*w,*yh,*yl; size_t nh,nl,nw;};
static Prob mkprob(int N,int H,int C,uint32_t seed){Prob p{N,H,C}; p.nh=(size_t)N*H*H*C;p.nl=p.nh/4;p.nw=(size_t)4*C*C*9; CK(cudaMalloc(&p.xh,p.nh*2));CK(cudaMalloc(&p.yh,p.nh*2));CK(cudaMalloc(&p.xl,p.nl*2));CK(cudaMalloc(&p.yl,p.nl*2));CK(cudaMalloc(&p.w,p.nw*2));
 fillk<<<1024,256>>>(p.xh,p.nh,1.f,seed);fillk<<<1024,256>>>(p.xl,p.nl,1.f,seed+1);fillk<<<1024,256>>>(p.w,p.nw,.1f,seed+2);CK(cudaGetLastError());
 CK(cudaMemset(p.yh,0xFF,p.nh*2));CK(cudaMemset(p.yl,0xFF,p.nl*2));CK(cudaDeviceSynchronize());return p;}
static void drop(Prob&p){cudaFree(p.xh);cudaFree(p.xl);cudaFree(p.w);cudaFree(p.yh);cudaFree(p.yl);}
static int NSM;
// mode 0 both, 1 high only, 2 low only
template<int C,int NB,int NL,int G,int RS> struct Run{
 Maps M; Args A; 
 Run(const Prob&p){ typedef Geo<G> Q; cuuint64_t c=C,q=p.H/2,W=p.H,N=p.N; 
  for(int z=0;z<4;z++) M.hi[z]=mk(p.xh+((z>>1)*W+(z&1))*C,4,{c,q,q,N},{2*c*2,2*W*c*2,W*W*c*2},{64,Q::HW,Q::HH,Q::HN});
  M.lo_h=mk(p.xl,4,{c,q,q,N},{c*2,q*c*2,q*q*c*2},{64,Q::LW,Q::LH,Q::HN});
  M.lo_l=mk(p.xl,4,{c,q,q,N},{c*2,q*c*2,q*q*c*2},{64,Q::KW,Q::KH,Q::KN});
  cuuint64_t ci=2*c*2; M.w=mk(p.w,5,{2*c,2,2*c/8,4,9},{9*ci,8*9*ci,2*9*ci,ci},{64,2,4,4,1});
  A.xh=p.xh;A.yh=p.yh;A.yl=p.yl;A.N=p.N;A.Hq=A.Wq=(int)q; 
  A.tx=(A.Wq+15)/16;A.ty=(A.Hq+7)/8;A.th=A.tx*A.ty*((p.N+Q::HN-1)/Q::HN)*((C+NB-1)/NB);
  A.ltx=(A.Wq+15)/16;A.lty=(A.Hq+15)/16;A.tl=A.ltx*A.lty*((p.N+Q::KN-1)/Q::KN)*((C+NL-1)/NL);
  CK(cudaFuncSetAttribute(octk<C,NB,NL,G,RS>,cudaFuncAttributeMaxDynamicSharedMemorySize,SMEM)); }
 void go(int nlow,int mode=0){Args a=A; a.dbg=mode>>2; mode&=3; if(mode==1){a.tl=0;nlow=0;} if(mode==2){a.th=0;nlow=NSM;} a.nlow=nlow; octk<C,NB,NL,G,RS><<<NSM,512,SMEM>>>(M,a); CK(cudaGetLastError());}
};
template<int C,int NB,int NL,int G,int RS> int layer(const char*name,int N,int H,float cudnn){
 { Prob p=mkprob(3,H,C,7); Run<C,NB,NL,G,RS> r(p); float*fh,*fl;CK(cudaMalloc(&fh,p.nh*4));CK(cudaMalloc(&fl,p.nl*4)); refk<<<2048,128>>>(p.xh,p.xl,p.w,fh,fl,3,H/2,H/2,C);CK(cudaDeviceSynchronize());
  int ncf=std::max(1,NSM*2/7); r.go(ncf); CK(cudaDeviceSynchronize());
  std::vector<bf>o; std::vector<float>f; double e[2]={0,0}; int bad[2]={0,0}; 
  for(int z=0;z<2;z++){size_t n=z?p.nl:p.nh;o.resize(n);f.resize(n);CK(cudaMemcpy(o.data(),z?p.yl:p.yh,n*2,cudaMemcpyDeviceToHost));CK(cudaMemcpy(f.data(),z?fl:fh,n*4,cudaMemcpyDeviceToHost));
   double sc=0;for(size_t i=0;i<n;i++)sc=std::max(sc,(double)fabsf(f[i])); size_t fb=n; for(size_t i=0;i<n;i++){double v=__bfloat162float(o[i]);double d=fabs(v-f[i])/sc; if(!(d<=.006)){bad[z]++;if(fb==n)fb=i;} if(!(d==d))d=9;e[z]=std::max(e[z],d);}
   if(bad[z]){size_t i=fb;int ww=z?H/2:H;printf("  first bad %s: c=%d x=%d y=%d n=%d got %g want %g (%d of %zu bad)\n",z?"low":"high",(int)(i%C),(int)(i/C%ww),(int)(i/C/ww%ww),(int)(i/C/ww/ww),__bfloat162float(o[i]),f[i],bad[z],n);}}
  printf("%-14s %s %s err high %.1e low %.1e\n",name,RS?"RS":"SS",bad[0]||bad[1]?"WRONG":"ok",e[0],e[1]); fflush(stdout); cudaFree(fh);cudaFree(fl);drop(p);}
 Prob p=mkprob(N,H,C,11); Run<C,NB,NL,G,RS> r(p); char*fl;size_t FB=200u<<20;CK(cudaMalloc(&fl,FB)); cudaEvent_t a,b;CK(cudaEventCreate(&a));CK(cudaEventCreate(&b));
 auto tm=[&](int nl,int mode,int reps){std::vector<float>v; for(int i=0;i<reps+2;i++){CK(cudaMemsetAsync(fl,i,FB));CK(cudaEventRecord(a));r.go(nl,mode);CK(cudaEventRecord(b));CK(cudaEventSynchronize(b));float t;CK(cudaEventElapsedTime(&t,a,b));if(i>=2)v.push_back(t*1e3f);} std::sort(v.begin(),v.end());return v[v.size()/2];};
 float best=1e9;int bn=0; printf("  nlow:us"); for(int nl=NSM*20/100;nl<=NSM*46/100;nl+=4){float t=tm(nl,0,8);printf(" %d:%.0f",nl,t);if(t<best){best=t;bn=nl;}}
 float th=tm(0,1,10),tl=tm(0,2,10),th1=tm(0,1+4,8),tl1=tm(0,2+4,8),th2=tm(0,1+8,8),tl2=tm(0,2+8,8),th3=tm(0,1+12,8),tl3=tm(0,2+12,8); best=tm(bn,0,25);
 double fl_=2.*9*C*C*((double)N*H*H)*(1+.25+.5); // HH + (LH) + (LL+HL)
 printf("\n  best nlow %d: %.1f us %.0f TF/s x%.2f (cuDNN %.0f) | high only %.1f us %.0f TF/s [noload %.1f nostore %.1f neither %.1f, %d items] low only %.1f us %.0f TF/s [%.1f %.1f %.1f, %d]\n",bn,best,fl_/best*1e-6,cudnn/best,cudnn,th,fl_*5/7/th*1e-6,th1,th2,th3,r.A.th,tl,fl_*2/7/tl*1e-6,tl1,tl2,tl3,r.A.tl);
 return 0;}
int main(int ac,char**av){ int L=ac>1?atoi(av[1]):1; cudaDeviceProp pr;CK(cudaGetDeviceProperties(&pr,0));NSM=pr.multiProcessorCount;
 cudaDriverEntryPointQueryResult qr;CK(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled",(void**)&enc,12000,cudaEnableDefault,&qr)); if(!enc){printf("no encode\n");return 1;}
 int rs=ac>2?atoi(av[2]):0;
#define LY(i,C,NB,NL,G,name,N,H,t) case i: return rs?layer<C,NB,NL,G,1>(name,N,H,t):layer<C,NB,NL,G,0>(name,N,H,t);
 switch(L){
 LY(0,32,32,32,16,"256x56 64",256,56,146)
 LY(1,64,64,64,14,"256x28 128",256,28,95)
 LY(2,128,64,128,7,"256x14 256",256,14,82)
 LY(3,160,64,160,16,"8x64 320",8,64,101)
 LY(4,32,32,32,16,"8x256 64",8,256,91)
 LY(5,320,64,160,16,"8x32 640",8,32,109)
 LY(6,64,64,64,16,"32x112 128",32,112,176)
 LY(7,256,64,128,14,"32x28 512",32,28,155)
 } return 1;}
