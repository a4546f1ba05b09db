"""What of SAM is understood: the one table of resource types, properties, events and functions.

Source: https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-specification.html
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from esb_producer.node import Node, meant

FUNCTION: Final = "AWS::Serverless::Function"
IMAGE_FUNCTION: Final = "AWS::Lambda::Function"
LAYER: Final = "AWS::Serverless::LayerVersion"
TABLE: Final = "AWS::DynamoDB::Table"
BUCKET: Final = "AWS::S3::Bucket"
TRANSFORM: Final = "AWS::Serverless-2016-10-31"

SECTIONS: Final = (
    "AWSTemplateFormatVersion",
    "Conditions",
    "Description",
    "Globals",
    "Metadata",
    "Outputs",
    "Parameters",
    "Resources",
    "Transform",
)
ATTRIBUTES: Final = (
    "Condition",
    "DeletionPolicy",
    "DependsOn",
    "Metadata",
    "Properties",
    "Type",
    "UpdateReplacePolicy",
)
PARAMETER_TYPES: Final = ("CommaDelimitedList", "List<Number>", "Number", "String")
VALUE_FUNCTIONS: Final = (
    "Fn::GetAtt",
    "Fn::If",
    "Fn::ImportValue",
    "Fn::Join",
    "Fn::Select",
    "Fn::Split",
    "Fn::Sub",
    "Ref",
)
CONDITION_FUNCTIONS: Final = ("Condition", "Fn::And", "Fn::Equals", "Fn::Not", "Fn::Or")
TAGS: Final = {
    f"!{name.removeprefix('Fn::')}": name
    for name in (
        *VALUE_FUNCTIONS,
        *CONDITION_FUNCTIONS,
        # Read, so that what is said about them names the place where they stand.
        *(f"Fn::{name}" for name in ("Base64", "Cidr", "FindInMap", "GetAZs", "Transform")),
    )
}


@dataclass(frozen=True, slots=True)
class Properties:
    """The properties of something in a template.

    Attributes:
        used: have their effect.
        inert: are accepted with a warning; nothing here corresponds to them.
    """

    used: frozenset[str]
    inert: frozenset[str] = field(default_factory=frozenset)

    def check(self, properties: Node) -> tuple[str, ...]:
        """Refuse what is neither, and return a warning for each property that has no effect.

        Raises:
            TemplateError: a property is not supported.
        """
        warnings = []
        for key, node in properties.mapping().items():
            if key in self.inert:
                warnings.append(node.told("has no effect here"))
            elif key not in self.used:
                raise node.error(
                    f"is not supported; supported are {', '.join(sorted(self.used))}",
                    meant(key, self.used | self.inert) or "remove it",
                    show=False,
                )
        return tuple(warnings)


_INERT_OF_FUNCTIONS = frozenset(
    {
        "Architectures",
        "CodeSigningConfigArn",
        "Description",
        "EphemeralStorage",
        "KmsKeyArn",
        "LoggingConfig",
        "RecursiveLoop",
        "Role",
        "RuntimeManagementConfig",
        "SnapStart",
        "Tags",
        "VpcConfig",
    }
)
_USED_OF_FUNCTIONS = frozenset(
    {
        "Environment",
        "FunctionName",
        "ImageConfig",
        "MemorySize",
        "PackageType",
        "ReservedConcurrentExecutions",
        "Timeout",
    }
)

RESOURCES: Final[Mapping[str, Properties]] = {
    FUNCTION: Properties(
        _USED_OF_FUNCTIONS | {"CodeUri", "Events", "Handler", "ImageUri", "InlineCode", "Layers", "Runtime"},
        _INERT_OF_FUNCTIONS
        | {
            "AssumeRolePolicyDocument",
            "AutoPublishAlias",
            "AutoPublishAliasAllProperties",
            "AutoPublishCodeSha256",
            "DeploymentPreference",
            "PermissionsBoundary",
            "Policies",
            "PropagateTags",
            "RolePath",
            "Tracing",
            "VersionDescription",
        },
    ),
    IMAGE_FUNCTION: Properties(_USED_OF_FUNCTIONS | {"Code"}, _INERT_OF_FUNCTIONS | {"TracingConfig"}),
    LAYER: Properties(
        frozenset(
            {
                "CompatibleArchitectures",
                "CompatibleRuntimes",
                "ContentUri",
                "Description",
                "LayerName",
                "LicenseInfo",
            }
        ),
        frozenset({"PublishLambdaVersion", "RetentionPolicy"}),
    ),
    TABLE: Properties(
        frozenset(
            {
                "AttributeDefinitions",
                "BillingMode",
                "GlobalSecondaryIndexes",
                "KeySchema",
                "LocalSecondaryIndexes",
                "ProvisionedThroughput",
                "StreamSpecification",
                "TableName",
            }
        ),
        frozenset(
            {
                "ContributorInsightsSpecification",
                "DeletionProtectionEnabled",
                "OnDemandThroughput",
                "PointInTimeRecoverySpecification",
                "SSESpecification",
                "TableClass",
                "Tags",
                "WarmThroughput",
            }
        ),
    ),
    BUCKET: Properties(
        frozenset({"BucketName", "LifecycleConfiguration"}),
        frozenset(
            {
                "AccelerateConfiguration",
                "AccessControl",
                "AnalyticsConfigurations",
                "BucketEncryption",
                "IntelligentTieringConfigurations",
                "InventoryConfigurations",
                "LoggingConfiguration",
                "MetricsConfigurations",
                "OwnershipControls",
                "PublicAccessBlockConfiguration",
                "Tags",
            }
        ),
    ),
}
GLOBALS: Final = Properties(
    RESOURCES[FUNCTION].used - {"Events", "FunctionName", "ImageUri", "InlineCode"},
    RESOURCES[FUNCTION].inert - {"AutoPublishCodeSha256", "Role", "VersionDescription"} | {"Role"},
)
EVENTS: Final[Mapping[str, Properties]] = {
    "Api": Properties(frozenset({"Method", "Path"})),
    "Schedule": Properties(
        frozenset({"Enabled", "Input", "Schedule", "State"}), frozenset({"Description", "Name"})
    ),
}
SCALING: Final[Mapping[str, str]] = {
    "AcquireTimeout": "acquire_timeout",
    "IdleTimeout": "idle_timeout",
    "MaxCapacity": "max_capacity",
    "MinCapacity": "min_capacity",
}
