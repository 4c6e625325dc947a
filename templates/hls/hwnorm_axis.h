// The beat of an AXI4-Stream as Vitis HLS wants it: ap_axiu, whose data, keep, strb, user and last become
// the side-band signals of a port. Elsewhere ap_axi_sdata.h is missing, and this stands in for it.
#ifndef HWNORM_AXIS_H
#define HWNORM_AXIS_H

#include "ap_int.h"
#include "hls_stream.h"

#if defined(__has_include)
#if __has_include("ap_axi_sdata.h")
#include "ap_axi_sdata.h"
#define HWNORM_HAS_AXI_SDATA
#endif
#endif

#ifndef HWNORM_HAS_AXI_SDATA
template <int D, int U, int TI, int TD>
struct ap_axiu {
    ap_uint<D> data;
    ap_uint<(D + 7) / 8> keep;
    ap_uint<(D + 7) / 8> strb;
    ap_uint<U> user;
    ap_uint<1> last;
};

template <int D, int TI, int TD>
struct ap_axiu<D, 0, TI, TD> {
    ap_uint<D> data;
    ap_uint<(D + 7) / 8> keep;
    ap_uint<(D + 7) / 8> strb;
    ap_uint<1> last;
};
#endif

#endif
