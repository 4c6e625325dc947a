// A unit of functions: the tables of all of them side by side in one memory, which may be written at run
// time.
//
// The highest SELECT bits of x name a function, the lowest CODE bits are its input code, sign-extended. Its
// word of PLACES says where its table is:
//   limit (ADDRESS-1 bits, lowest)   2^(bits-1) - 1: the code is saturated to so many bits
//   drop  (DROP bits)                so many low bits of the code are dropped first
//   base  (ADDRESS bits)             a multiple of 2^bits: where the table begins
// y is the word at base + (the saturated code, its lowest bits), 4 cycles in which ce is high after x.
//
// load_valid writes load_data: with the highest bit of load_address low, a word of the tables; with it high,
// the place of a function. What is computed meanwhile means nothing. Both memories begin with files, where
// they are named.
//
// Block memories hold tables of more than DEEP words and at least LARGE bits, LUTs others
// (hwnorm/cost/blocks.py).

`default_nettype none

module hwnorm_tables #(
    parameter SELECT  = 4,
    parameter CODE    = 16,
    parameter OUT     = 8,
    parameter ADDRESS = 11,
    parameter DROP    = 4,
    parameter TABLES  = "",
    parameter PLACES  = "",
    parameter DEEP    = 128,
    parameter LARGE   = 4096,
    parameter PLACE   = 2 * ADDRESS + DROP - 1,
    parameter LOAD    = (ADDRESS > SELECT ? ADDRESS : SELECT) + 1,
    parameter DATA    = PLACE > OUT ? PLACE : OUT
) (
    input  wire                          clk,
    input  wire                          ce,
    input  wire signed [SELECT+CODE-1:0] x,
    output wire signed [        OUT-1:0] y,
    input  wire                          load_valid,
    input  wire        [       LOAD-1:0] load_address,
    input  wire        [       DATA-1:0] load_data
);

  generate
    if (SELECT < 1 || OUT < 1 || ADDRESS < 2 ||
        CODE < ADDRESS || DROP < 1 || CODE > 1 << DROP) begin : g_illegal
      SELECT_OUT_ADDRESS_CODE_and_DROP_must_fit stop ();
    end
  endgenerate

  wire load_place = load_valid && load_address[LOAD-1];
  wire load_word = load_valid && !load_address[LOAD-1];
  // An address and a word of the longer memory have bits that the other one has not.
  wire unused = &{1'b0, load_address, load_data};

  // ---- the function's place ----
  (* ram_style = "distributed", syn_ramstyle = "distributed", no_rw_check *)
  reg [PLACE-1:0] places[0:(1<<SELECT)-1];
  generate
    if (PLACES != "") begin : g_places
      initial $readmemh(PLACES, places);
    end
  endgenerate
  always @(posedge clk) if (load_place) places[load_address[SELECT-1:0]] <= load_data[PLACE-1:0];

  reg [PLACE-1:0] place;
  reg signed [CODE-1:0] code;
  always @(posedge clk) begin
    if (ce) begin
      place <= places[x[CODE+:SELECT]];
      code  <= x[CODE-1:0];
    end
  end

  // ---- low bits are dropped ----
  reg [ADDRESS-2:0] limit;
  reg [ADDRESS-1:0] base;
  reg signed [CODE-1:0] dropped;
  always @(posedge clk) begin
    if (ce) begin
      limit   <= place[ADDRESS-2:0];
      base    <= place[ADDRESS-1+DROP+:ADDRESS];
      dropped <= code >>> place[ADDRESS-1+:DROP];
    end
  end

  // ---- saturation, and the place in the table ----
  wire sign = dropped[CODE-1];
  // Bits above those that the table has: alike where the code needs no saturation.
  wire [CODE-1:0] above = (dropped ^ {CODE{sign}}) & ~{{CODE - ADDRESS + 1{1'b0}}, limit};
  wire [ADDRESS-1:0] mask = {limit, 1'b1};
  wire [ADDRESS-1:0] most = sign ? ~{1'b0, limit} : {1'b0, limit};
  reg [ADDRESS-1:0] address;
  always @(posedge clk) begin
    if (ce) address <= base | ((|above ? most : dropped[ADDRESS-1:0]) & mask);
  end

  // ---- the tables ----
  reg signed [OUT-1:0] word;
  assign y = word;
  generate
    if (1 << ADDRESS > DEEP && OUT << ADDRESS >= LARGE) begin : g_block
      (* ram_style = "block", syn_ramstyle = "block_ram", no_rw_check *)
      reg [OUT-1:0] words[0:(1<<ADDRESS)-1];
      if (TABLES != "") begin : g_init
        initial $readmemh(TABLES, words);
      end
      always @(posedge clk) begin
        if (load_word) words[load_address[ADDRESS-1:0]] <= load_data[OUT-1:0];
        if (ce) word <= words[address];
      end
    end else begin : g_distributed
      (* ram_style = "distributed", syn_ramstyle = "distributed", no_rw_check *)
      reg [OUT-1:0] words[0:(1<<ADDRESS)-1];
      if (TABLES != "") begin : g_init
        initial $readmemh(TABLES, words);
      end
      always @(posedge clk) begin
        if (load_word) words[load_address[ADDRESS-1:0]] <= load_data[OUT-1:0];
        if (ce) word <= words[address];
      end
    end
  endgenerate

endmodule

`default_nettype wire
