// Any picture, layout and type: all of the input is written, with values that a picture can have.

#include <limits>
#include <vector>

#include "cc/fuzz_input.h"
#include "cc/preprocess/preprocess.h"

namespace roadmark {
namespace {

// `preprocess(out)` fills `values` of type T.
template <typename T, typename Preprocess>
std::vector<T> Filled(int64_t values, T unwritten, Preprocess preprocess) {
  return OnEveryInstructionSet(
      [&] {
        std::vector<T> out(values, unwritten);
        preprocess(out.data());
        return out;
      },
      [](const std::vector<T>& a, const std::vector<T>& b) {
        for (size_t i = 0; i < a.size(); ++i) {
          if (a[i] != b[i]) return false;
        }
        return a.size() == b.size();
      });
}

template <typename AnyPicture>
void CheckPreprocess(const AnyPicture& picture, const InputFormat& format) {
  const int64_t values = format.height * format.width * 3;
  const auto preprocess = [&](void* out) { Preprocess(picture, format, out); };
  if (format.type == ValueType::kFloat32) {
    const float unwritten = 1e9f;
    for (float value : Filled(values, unwritten, preprocess)) {
      FUZZ_CHECK(-0.01f <= value && value <= 255.01f);
    }
  } else if (format.type == ValueType::kBfloat16) {
    const uint16_t unwritten = 0x7fc0;  // NaN.
    for (uint16_t bits : Filled(values, unwritten, preprocess)) {
      const float value = FloatFromBits(static_cast<uint32_t>(bits) << 16);
      FUZZ_CHECK(-0.01f <= value && value <= 255.5f);
    }
  } else {
    Filled(values, uint8_t{0}, preprocess);
  }
}

void FuzzPreprocess(FuzzInput& input) {
  const int64_t height = input.Integer(1, 40), width = input.Integer(1, 60);
  InputFormat format = {};
  format.height = input.Integer(1, 50);
  format.width = input.Integer(1, 50);
  format.resized_height = input.Integer(1, format.height);
  format.resized_width = input.Integer(1, format.width);
  format.layout = static_cast<Layout>(input.Integer(0, 1));
  format.type = static_cast<ValueType>(input.Integer(0, 2));
  for (int c = 0; c < 3; ++c) {
    format.scale[c] = 1;
    format.pad_value[c] = input.Fraction() * 255;
  }
  const int64_t gap = input.Integer(0, 3);
  if (input.Flag()) {
    const int64_t stride = width * 3 + gap;
    const std::vector<uint8_t> pixels = input.Bytes(height * stride - gap);
    CheckPreprocess(Picture{pixels.data(), height, width, stride}, format);
    return;
  }
  const int64_t rows = (height + 1) / 2, columns = (width + 1) / 2, step = input.Integer(1, 2);
  const int64_t y_stride = width + gap, chroma_stride = columns * step + gap;
  const std::vector<uint8_t> y = input.Bytes(height * y_stride - gap);
  const std::vector<uint8_t> u = input.Bytes(rows * chroma_stride - gap);
  const std::vector<uint8_t> v = input.Bytes(rows * chroma_stride - gap);
  const YuvPicture picture = {y.data(),
                              u.data(),
                              step == 2 ? u.data() + 1 : v.data(),
                              height,
                              width,
                              y_stride,
                              chroma_stride,
                              chroma_stride,
                              step,
                              static_cast<ColourMatrix>(input.Integer(0, 1)),
                              input.Flag()};
  CheckPreprocess(picture, format);
}

}  // namespace
}  // namespace roadmark

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  roadmark::FuzzInput input(data, size);
  roadmark::FuzzPreprocess(input);
  return 0;
}
