// Pictures to a network's input: resized, normalised and padded in one pass.
#ifndef ROADMARK_CC_PREPROCESS_PREPROCESS_H_
#define ROADMARK_CC_PREPROCESS_PREPROCESS_H_

#include <cstdint>

namespace roadmark {

// uint8 RGB. Pixels are 3 bytes apart, rows `stride` bytes, which may be negative. Neither side
// is 0.
struct Picture {
  const uint8_t* pixels;
  int64_t height, width;
  int64_t stride;
};

enum class ColourMatrix { kBt601, kBt709 };

// uint8 planes with half the chroma in both directions, as video decoders give them: a chroma plane
// is [(height + 1) / 2, (width + 1) / 2]. Rows are `y_stride`, `u_stride` and `v_stride` bytes
// apart, chroma samples `chroma_step`: 1 for I420, 2 for NV12, where v = u + 1.
struct YuvPicture {
  const uint8_t *y, *u, *v;
  int64_t height, width;
  int64_t y_stride, u_stride, v_stride, chroma_step;
  ColourMatrix matrix;
  bool full_range;  // Luma and chroma use all of 0 to 255, not 16 to 235 and 16 to 240.
};

enum class Layout { kNhwc, kNchw };
enum class ValueType { kFloat32, kBfloat16, kUint8 };

struct InputFormat {
  int64_t height, width;                  // Of the network's input.
  int64_t resized_height, resized_width;  // Of the picture inside it; 1 up to those.
  float mean[3], scale[3];                // A channel becomes (value - mean) * scale.
  float pad_value[3];                     // What is right of and below the picture.
  Layout layout = Layout::kNhwc;
  ValueType type = ValueType::kFloat32;
};

// Fills `out`: [height, width, 3] or [3, height, width] of the format's type.
//
// Resizing is TensorFlow's legacy bilinear sampling (tf.compat.v1.image.resize_images): output
// pixel i samples the input at i * in / out, without half-pixel centres, in float32 and in
// TensorFlow's order of operations. bfloat16 is the float32 result, rounded to nearest, ties to
// even; uint8 is rounded likewise and clamped.
void Preprocess(const Picture& picture, const InputFormat& format, void* out);

// As if ConvertToRgb() had been called first.
void Preprocess(const YuvPicture& picture, const InputFormat& format, void* out);

// The part of Preprocess() that writes rows [first_row, last_row) of the network's input. Threads
// may share a picture that way; the bytes are the same.
void PreprocessRows(const Picture& picture, const InputFormat& format, int64_t first_row,
                    int64_t last_row, void* out);
void PreprocessRows(const YuvPicture& picture, const InputFormat& format, int64_t first_row,
                    int64_t last_row, void* out);

// uint8 [height, width, 3] RGB by the matrix of ITU-R BT.601 or BT.709, in integers: the exact
// value, rounded and clamped, give or take 1/1000 before the rounding. Each 2 x 2 block of pixels
// has its one chroma sample.
void ConvertToRgb(const YuvPicture& picture, uint8_t* rgb);

}  // namespace roadmark

#endif  // ROADMARK_CC_PREPROCESS_PREPROCESS_H_
