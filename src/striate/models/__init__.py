"""One file an architecture, and one way to build any of them by its name."""

from striate.models.alexnet import AlexNet, AlexNet2012, AlexNet2012Config, AlexNetConfig, alexnet, alexnet_2012
from striate.models.all_cnn import AllCNN, AllCNNConfig, all_cnn_c
from striate.models.c3d import C3D, C3DConfig, c3d
from striate.models.dilated_context import DilatedContext, DilatedContextConfig, dilated_context
from striate.models.fcn import FCN, FCNConfig, fcn_resnet50
from striate.models.googlenet import GoogLeNet, GoogLeNetConfig, googlenet
from striate.models.inception_v3 import InceptionV3, InceptionV3Config, inception_v3
from striate.models.jarrett import JarrettNet, JarrettNetConfig, jarrett
from striate.models.lenet import LeNet5, LeNet5Config, lenet5
from striate.models.loading.preprocessing import Preprocessing
from striate.models.loading.report import LoadReport
from striate.models.locally_connected import DeepFace, DeepFaceConfig, deepface
from striate.models.mlp import MLP, MLPConfig, mlp
from striate.models.mobilenet_v1 import MobileNetV1, MobileNetV1Config, mobilenet_v1
from striate.models.mobilenet_v2 import MobileNetV2, MobileNetV2Config, mobilenet_v2
from striate.models.network import Network, Outputs
from striate.models.registry import builder_of, config_of, create, name_of, names, rebuild
from striate.models.resnet import (
    ResNet,
    ResNetConfig,
    resnet18,
    resnet18_deform,
    resnet34,
    resnet50,
    resnet50_deform,
    resnet101,
    resnet152,
)
from striate.models.resnet1d import ResNet1d, ResNet1dConfig, resnet1d18
from striate.models.summary import Summary, summaries
from striate.models.unet import UNet, UNetConfig, unet
from striate.models.vgg import VGG, VGGConfig, vgg11, vgg11_bn, vgg13, vgg13_bn, vgg16, vgg16_bn, vgg19, vgg19_bn
from striate.models.video_resnet import VideoResNet, VideoResNetConfig, r2plus1d_18, r3d_18
from striate.models.weights import Loaded, load
from striate.models.zfnet import ZFNet, ZFNetConfig, zfnet

__all__ = [
    "AlexNet",
    "AlexNet2012",
    "AlexNet2012Config",
    "AlexNetConfig",
    "AllCNN",
    "AllCNNConfig",
    "C3D",
    "C3DConfig",
    "DeepFace",
    "DeepFaceConfig",
    "DilatedContext",
    "DilatedContextConfig",
    "FCN",
    "FCNConfig",
    "GoogLeNet",
    "GoogLeNetConfig",
    "InceptionV3",
    "InceptionV3Config",
    "JarrettNet",
    "JarrettNetConfig",
    "LeNet5",
    "LeNet5Config",
    "LoadReport",
    "Loaded",
    "MLP",
    "MLPConfig",
    "MobileNetV1",
    "MobileNetV1Config",
    "MobileNetV2",
    "MobileNetV2Config",
    "Network",
    "Outputs",
    "Preprocessing",
    "ResNet",
    "ResNet1d",
    "ResNet1dConfig",
    "ResNetConfig",
    "Summary",
    "UNet",
    "UNetConfig",
    "VGG",
    "VGGConfig",
    "VideoResNet",
    "VideoResNetConfig",
    "ZFNet",
    "ZFNetConfig",
    "alexnet",
    "alexnet_2012",
    "all_cnn_c",
    "builder_of",
    "c3d",
    "config_of",
    "create",
    "deepface",
    "dilated_context",
    "fcn_resnet50",
    "googlenet",
    "inception_v3",
    "jarrett",
    "lenet5",
    "load",
    "mlp",
    "mobilenet_v1",
    "mobilenet_v2",
    "name_of",
    "names",
    "r2plus1d_18",
    "r3d_18",
    "rebuild",
    "resnet101",
    "resnet152",
    "resnet18",
    "resnet18_deform",
    "resnet1d18",
    "resnet34",
    "resnet50",
    "resnet50_deform",
    "summaries",
    "unet",
    "vgg11",
    "vgg11_bn",
    "vgg13",
    "vgg13_bn",
    "vgg16",
    "vgg16_bn",
    "vgg19",
    "vgg19_bn",
    "zfnet",
]
