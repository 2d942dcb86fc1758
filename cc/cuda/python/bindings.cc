// The extension module roadmark.ops._cuda; its documentation is in roadmark.ops.cuda.
#include "cc/cuda/python/bindings.h"

#include <cuda_runtime.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <cmath>
#include <string>
#include <utility>

#include "cc/box_coder/box_coder_cuda.h"
#include "cc/cuda/python/device_array.h"
#include "cc/nms/nms_cuda.h"
#include "cc/postprocess/postprocess_cuda.h"
#include "cc/preprocess/preprocess_cuda.h"
#include "cc/python/arguments.h"

namespace py = pybind11;

namespace roadmark {
namespace cuda {
namespace {

constexpr int64_t kMaxClasses = 1 << 20;
constexpr int64_t kMaxImages = 65535;

const Box* Boxes(const DeviceArray& array) { return array.As<const Box>(); }

void EncodeBoxes(py::handle boxes, py::handle anchors, const std::array<float, 4>& scale_factors,
                 py::handle out, py::handle stream) {
  Call call(stream);
  const DeviceArray anchors_array = call.Read(anchors, "anchors", "float32", {kAnySize, 4});
  const int64_t count = anchors_array.shape[0];
  const DeviceArray boxes_array = call.Read(boxes, "boxes", "float32", {count, 4});
  const DeviceArray out_array = call.Write(out, "out", "float32", {count, 4});
  RaiseUnlessSuccess(
      EncodeFasterRcnn(Boxes(boxes_array), Boxes(anchors_array), count,
                       CheckedScales(scale_factors), out_array.As<float>(), call.stream()),
      "encode_boxes");
}

void DecodeBoxes(py::handle encodings, py::handle anchors,
                 const std::array<float, 4>& scale_factors, py::handle out, py::handle stream) {
  Call call(stream);
  const DeviceArray anchors_array = call.Read(anchors, "anchors", "float32", {kAnySize, 4});
  const int64_t count = anchors_array.shape[0];
  const DeviceArray encodings_array = call.Read(encodings, "encodings", "float32", {count, 4});
  const DeviceArray out_array = call.Write(out, "out", "float32", {count, 4});
  RaiseUnlessSuccess(
      DecodeFasterRcnn(encodings_array.As<float>(), Boxes(anchors_array), count,
                       CheckedScales(scale_factors), out_array.As<Box>(), call.stream()),
      "decode_boxes");
}

Selections SelectionsOf(Call* call, const py::tuple& out, const std::vector<int64_t>& images,
                        int64_t max_total) {
  Require(out.size() == 4, "out", out.size(), "indices, classes, scores and counts");
  std::vector<int64_t> shape = images;
  shape.push_back(max_total);
  return {
      call->Write(out[0], "out.indices", "int64", shape).As<int64_t>(),
      call->Write(out[1], "out.classes", "int32", shape).As<int32_t>(),
      call->Write(out[2], "out.scores", "float32", shape).As<float>(),
      call->Write(out[3], "out.counts", "int32", images.empty() ? std::vector<int64_t>{1} : images)
          .As<int32_t>()};
}

int64_t PyNmsWorkspaceBytes(int64_t count, int64_t num_classes, int64_t max_per_class,
                            int64_t max_total, float soft_nms_sigma) {
  return NmsWorkspaceBytes(count, num_classes,
                           CheckedNmsOptions(0, 0, soft_nms_sigma, max_per_class, max_total));
}

void PyNms(py::handle boxes, py::handle scores, py::handle classes, int64_t num_classes,
           float score_threshold, float iou_threshold, int64_t max_per_class, int64_t max_total,
           float soft_nms_sigma, const py::tuple& out, py::handle workspace, py::handle stream) {
  Call call(stream);
  const DeviceArray scores_array = call.Read(scores, "scores", "float32", {kAnySize});
  const int64_t count = scores_array.shape[0];
  const DeviceArray boxes_array = call.Read(boxes, "boxes", "float32", {count, 4});
  const int32_t* classes_data = nullptr;
  if (!classes.is_none()) {
    classes_data = call.Read(classes, "classes", "int32", {count}).As<int32_t>();
  }
  Require(num_classes >= 1 && num_classes <= kMaxClasses, "num_classes", num_classes, "1 to 2**20");
  RequireCandidates(count, num_classes, "scores");
  const NmsOptions options =
      CheckedNmsOptions(score_threshold, iou_threshold, soft_nms_sigma, max_per_class, max_total);
  const Selections selections = SelectionsOf(&call, out, {}, max_total);
  void* buffer = call.Workspace(workspace, NmsWorkspaceBytes(count, num_classes, options));
  RaiseUnlessSuccess(Nms(Boxes(boxes_array), scores_array.As<float>(), classes_data, count,
                         num_classes, options, buffer, selections, call.stream()),
                     "nms");
}

int64_t PyMulticlassNmsWorkspaceBytes(int64_t images, int64_t count, int64_t num_classes,
                                      bool class_agnostic, int64_t max_per_class, int64_t max_total,
                                      float soft_nms_sigma) {
  const ScoredBoxes scored = {nullptr, true, nullptr, images, count, num_classes};
  return MulticlassNmsWorkspaceBytes(
      scored, class_agnostic, CheckedNmsOptions(0, 0, soft_nms_sigma, max_per_class, max_total));
}

void PyMulticlassNms(py::handle boxes, py::handle scores, bool class_agnostic,
                     float score_threshold, float iou_threshold, int64_t max_per_class,
                     int64_t max_total, int64_t max_candidates, float soft_nms_sigma,
                     const py::tuple& out, py::handle workspace, py::handle stream) {
  Call call(stream);
  const DeviceArray scores_array =
      call.Read(scores, "scores", "float32", {kAnySize, kAnySize, kAnySize});
  const int64_t images = scores_array.shape[0], count = scores_array.shape[1],
                num_classes = scores_array.shape[2];
  Require(num_classes >= 1 && num_classes <= kMaxClasses, "scores", num_classes,
          "1 to 2**20 classes");
  Require(images >= 1 && images <= kMaxImages, "scores", images, "1 to 65535 images");
  RequireCandidates(count, num_classes, "scores");
  const bool shared = py::len(py::getattr(boxes, "shape", py::tuple())) != 4;
  const DeviceArray boxes_array =
      shared ? call.Read(boxes, "boxes", "float32", {images, count, 4})
             : call.Read(boxes, "boxes", "float32", {images, count, num_classes, 4});
  Require(max_candidates >= 0, "max_candidates", max_candidates, "0 or more");
  Require(!class_agnostic || max_candidates == 0, "max_candidates", max_candidates,
          "0 when class-agnostic");
  const NmsOptions options =
      CheckedNmsOptions(score_threshold, iou_threshold, soft_nms_sigma, max_per_class, max_total);
  const ScoredBoxes scored = {Boxes(boxes_array), shared, scores_array.As<float>(), images, count,
                              num_classes};
  const Selections selections = SelectionsOf(&call, out, {images}, max_total);
  void* buffer =
      call.Workspace(workspace, MulticlassNmsWorkspaceBytes(scored, class_agnostic, options));
  RaiseUnlessSuccess(
      class_agnostic
          ? ClassAgnosticNms(scored, options, buffer, selections, call.stream())
          : MulticlassNms(scored, max_candidates, options, buffer, selections, call.stream()),
      "multiclass_nms");
}

ScoreFunction ScoreFunctionNamed(const std::string& name) {
  if (name == "identity") return ScoreFunction::kIdentity;
  if (name == "sigmoid") return ScoreFunction::kSigmoid;
  Require(name == "softmax", "score_converter", name, "identity, sigmoid or softmax");
  return ScoreFunction::kSoftmax;
}

// With `workspace_only` nothing is done and the bytes needed are returned.
int64_t PyPostprocess(py::handle class_logits, py::handle box_encodings, py::handle anchors,
                      py::handle mask_logits, py::handle windows, py::handle counts,
                      const std::array<float, 4>& scale_factors, const std::string& score_converter,
                      float logit_scale, bool background_column, bool class_agnostic,
                      float score_threshold, float iou_threshold, int64_t max_per_class,
                      int64_t max_total, float soft_nms_sigma, const py::object& out,
                      py::handle workspace, py::handle stream) {
  Call call(stream);
  const DeviceArray logits =
      call.Read(class_logits, "class_logits", "float32", {kAnySize, kAnySize, kAnySize});
  const int64_t images = logits.shape[0], count = logits.shape[1];
  const int64_t num_classes = logits.shape[2] - background_column;
  Require(num_classes >= 1 && num_classes <= kMaxClasses, "class_logits", num_classes,
          "1 to 2**20 classes besides background");
  Require(images >= 1 && images <= kMaxImages, "class_logits", images, "1 to 65535 images");
  RequireCandidates(count, num_classes + 1, "class_logits");
  const bool anchors_per_image = py::len(py::getattr(anchors, "shape", py::tuple())) == 3;
  const DeviceArray anchors_array =
      anchors_per_image ? call.Read(anchors, "anchors", "float32", {images, count, 4})
                        : call.Read(anchors, "anchors", "float32", {count, 4});
  const DeviceArray encodings =
      call.Read(box_encodings, "box_encodings", "float32", {images, count, kAnySize, 4});
  const int64_t boxes_per_row = encodings.shape[2];
  Require(boxes_per_row == 1 || boxes_per_row == num_classes, "box_encodings", boxes_per_row,
          "one box per row, or one per class");
  Require(logit_scale > 0 && std::isfinite(logit_scale), "logit_scale", logit_scale, "above 0");
  const DeviceArray windows_array = call.Read(windows, "windows", "float32", {images, 2});
  const int32_t* counts_data = nullptr;
  if (!counts.is_none()) {
    counts_data = call.Read(counts, "counts", "int32", {images}).As<int32_t>();
  }
  DeviceArray masks = {};
  if (!mask_logits.is_none()) {
    masks = call.Read(mask_logits, "mask_logits", "float32",
                      {images, count, kAnySize, kAnySize, kAnySize});
    Require(masks.shape[2] == 1 || masks.shape[2] == num_classes, "mask_logits", masks.shape[2],
            "one mask per row, or one per class");
  } else {
    masks.shape = {images, count, 1, 0, 0};
  }
  const PostprocessOptions options = {
      CheckedScales(scale_factors),
      ScoreFunctionNamed(score_converter),
      logit_scale,
      background_column,
      class_agnostic,
      CheckedNmsOptions(score_threshold, iou_threshold, soft_nms_sigma, max_per_class, max_total)};
  const RawBatch raw = {logits.As<float>(),
                        encodings.As<float>(),
                        Boxes(anchors_array),
                        anchors_per_image,
                        counts_data,
                        windows_array.As<Window>(),
                        images,
                        count,
                        num_classes,
                        boxes_per_row,
                        masks.As<float>(),
                        masks.shape[2],
                        masks.shape[3] * masks.shape[4]};
  const int64_t bytes = PostprocessWorkspaceBytes(raw, options);
  if (out.is_none()) return bytes;
  const auto arrays = py::cast<py::tuple>(out);
  Require(arrays.size() == 6, "out", arrays.size(),
          "boxes, scores, classes, rows, counts and masks");
  const cuda::Detections detections = {
      call.Write(arrays[0], "out.boxes", "float32", {images, max_total, 4}).As<Box>(),
      call.Write(arrays[1], "out.scores", "float32", {images, max_total}).As<float>(),
      call.Write(arrays[2], "out.classes", "int32", {images, max_total}).As<int32_t>(),
      call.Write(arrays[3], "out.rows", "int64", {images, max_total}).As<int64_t>(),
      call.Write(arrays[4], "out.counts", "int32", {images}).As<int32_t>(),
      mask_logits.is_none() ? nullptr
                            : call.Write(arrays[5], "out.masks", "float32",
                                         {images, max_total, masks.shape[3], masks.shape[4]})
                                  .As<float>()};
  void* buffer = call.Workspace(workspace, bytes);
  RaiseUnlessSuccess(Postprocess(raw, options, buffer, detections, call.stream()), "postprocess");
  return bytes;
}

ColourMatrix MatrixNamed(const std::string& name) {
  if (name == "bt601") return ColourMatrix::kBt601;
  Require(name == "bt709", "matrix", name, "bt601 or bt709");
  return ColourMatrix::kBt709;
}

ValueType ValueTypeNamed(const std::string& name) {
  if (name == "float32") return ValueType::kFloat32;
  if (name == "bfloat16") return ValueType::kBfloat16;
  Require(name == "uint8", "dtype", name, "float32, bfloat16 or uint8");
  return ValueType::kUint8;
}

void PyPreprocess(const py::tuple& planes, const std::string& matrix, bool full_range,
                  std::pair<int64_t, int64_t> resized, const std::array<float, 3>& mean,
                  const std::array<float, 3>& scale, const std::array<float, 3>& pad_value,
                  const std::string& layout, const std::string& dtype, py::handle out,
                  py::handle stream) {
  Call call(stream);
  Require(planes.size() == 1 || planes.size() == 2, "planes", planes.size(),
          "1 plane (RGB) or 2 (NV12)");
  Require(layout == "NHWC" || layout == "NCHW", "layout", layout, "NHWC or NCHW");
  const bool planar = layout == "NCHW";
  InputFormat format = {};
  format.layout = planar ? Layout::kNchw : Layout::kNhwc;
  format.type = ValueTypeNamed(dtype);
  const DeviceArray values = call.Write(out, "out", dtype.c_str(),
                                        planar ? std::vector<int64_t>{3, kAnySize, kAnySize}
                                               : std::vector<int64_t>{kAnySize, kAnySize, 3});
  format.height = values.shape[planar ? 1 : 0];
  format.width = values.shape[planar ? 2 : 1];
  format.resized_height = resized.first;
  format.resized_width = resized.second;
  Require(resized.first >= 1 && resized.first <= format.height && resized.second >= 1 &&
              resized.second <= format.width,
          "resized", resized, "1 to the sides of out");
  std::copy(mean.begin(), mean.end(), format.mean);
  std::copy(scale.begin(), scale.end(), format.scale);
  std::copy(pad_value.begin(), pad_value.end(), format.pad_value);
  if (planes.size() == 1) {
    const DeviceArray rgb = call.ReadRows(planes[0], "image", "uint8", {kAnySize, kAnySize, 3});
    RequireSides(rgb, "image");
    const Picture picture = {rgb.As<uint8_t>(), rgb.shape[0], rgb.shape[1], rgb.strides[0]};
    RaiseUnlessSuccess(Preprocess(picture, format, values.data, call.stream()), "preprocess");
    return;
  }
  const DeviceArray y = call.ReadRows(planes[0], "planes[0]", "uint8", {kAnySize, kAnySize});
  RequireSides(y, "planes[0]");
  const int64_t height = y.shape[0], width = y.shape[1];
  const DeviceArray uv =
      call.ReadRows(planes[1], "planes[1]", "uint8", {(height + 1) / 2, (width + 1) / 2, 2});
  const YuvPicture picture = {
      y.As<uint8_t>(), uv.As<uint8_t>(), uv.As<uint8_t>() + 1, height, width,
      y.strides[0],    uv.strides[0],    uv.strides[0],        2,      MatrixNamed(matrix),
      full_range};
  RaiseUnlessSuccess(Preprocess(picture, format, values.data, call.stream()), "preprocess");
}

}  // namespace
}  // namespace cuda
}  // namespace roadmark

PYBIND11_MODULE(_cuda, module) {
  using py::arg;
  using py::kw_only;
  using namespace roadmark::cuda;
  BindAnnotate(module);
  module.def("encode_boxes", &EncodeBoxes, arg("boxes"), arg("anchors"), arg("scale_factors"),
             kw_only(), arg("out"), arg("stream"));
  module.def("decode_boxes", &DecodeBoxes, arg("encodings"), arg("anchors"), arg("scale_factors"),
             kw_only(), arg("out"), arg("stream"));
  module.def("nms_workspace_bytes", &PyNmsWorkspaceBytes, arg("count"), arg("num_classes"),
             kw_only(), arg("max_per_class"), arg("max_total"), arg("soft_nms_sigma"));
  module.def("nms", &PyNms, arg("boxes"), arg("scores"), arg("classes"), kw_only(),
             arg("num_classes"), arg("score_threshold"), arg("iou_threshold"), arg("max_per_class"),
             arg("max_total"), arg("soft_nms_sigma"), arg("out"), arg("workspace"), arg("stream"));
  module.def("multiclass_nms_workspace_bytes", &PyMulticlassNmsWorkspaceBytes, arg("images"),
             arg("count"), arg("num_classes"), kw_only(), arg("class_agnostic"),
             arg("max_per_class"), arg("max_total"), arg("soft_nms_sigma"));
  module.def("multiclass_nms", &PyMulticlassNms, arg("boxes"), arg("scores"), kw_only(),
             arg("class_agnostic"), arg("score_threshold"), arg("iou_threshold"),
             arg("max_per_class"), arg("max_total"), arg("max_candidates"), arg("soft_nms_sigma"),
             arg("out"), arg("workspace"), arg("stream"));
  module.def("postprocess", &PyPostprocess, arg("class_logits"), arg("box_encodings"),
             arg("anchors"), kw_only(), arg("mask_logits"), arg("windows"), arg("counts"),
             arg("scale_factors"), arg("score_converter"), arg("logit_scale"),
             arg("background_column"), arg("class_agnostic"), arg("score_threshold"),
             arg("iou_threshold"), arg("max_per_class"), arg("max_total"), arg("soft_nms_sigma"),
             arg("out"), arg("workspace"), arg("stream"));
  module.def("preprocess", &PyPreprocess, arg("planes"), kw_only(), arg("matrix"),
             arg("full_range"), arg("resized"), arg("mean"), arg("scale"), arg("pad_value"),
             arg("layout"), arg("dtype"), arg("out"), arg("stream"));
}
