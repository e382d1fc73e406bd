from django.apps import AppConfig


class LeadflowConfig(AppConfig):
    name = "leadflow"
