"""Home, leads, search and settings."""

from django.urls import path

from leadflow.pages import home, lead, leads, profile, search, settings, settings_catalogue

app_name = "pages"
urlpatterns = [
    path("", home.home, name="home"),
    path("search/", search.search, name="search"),
    path("leads/", leads.leads, name="leads"),
    path("leads/leads.csv", leads.leads_csv, name="leads_csv"),
    path("leads/<int:pk>/", lead.lead, name="lead"),
    path("leads/<int:pk>/story/", lead.lead_story, name="lead_story"),
    path("leads/<int:pk>/score/", lead.lead_score, name="lead_score"),
    path("leads/<int:pk>/moves/", lead.lead_moves, name="lead_moves"),
    path("leads/<int:pk>/persona/", profile.lead_persona, name="lead_persona"),
    path("leads/<int:pk>/fact/<str:key>/", profile.profile_field, name="profile_field"),
    path("settings/", settings.settings, name="settings"),
    path("settings/people/", settings.people_list, name="people"),
    path("settings/people/new/", settings.person_new, name="person_new"),
    path("settings/people/<int:pk>/", settings.person_edit, name="person_edit"),
    path("settings/people/<int:pk>/invite/", settings.person_invite, name="person_invite"),
    path("settings/teams/", settings.teams, name="teams"),
    path("settings/teams/new/", settings.team_edit, name="team_new"),
    path("settings/teams/<int:pk>/", settings.team_edit, name="team_edit"),
    path("settings/hours/", settings.hours_list, name="hours"),
    path("settings/hours/new/", settings.hours_edit, name="hours_new"),
    path("settings/hours/<int:pk>/", settings.hours_edit, name="hours_edit"),
    path("settings/hours/<int:pk>/day/", settings.hours_day, name="hours_day"),
    path("settings/company/", settings.company, name="company"),
    path("settings/keys/", settings.api_keys, name="keys"),
    path("settings/keys/<int:pk>/revoke/", settings.api_key_revoke, name="key_revoke"),
    path("settings/fields/", settings_catalogue.fields, name="fields"),
    path("settings/fields/<int:pk>/", settings_catalogue.field_edit, name="field_edit"),
    path("settings/fields/<int:pk>/retire/", settings_catalogue.field_retire, name="field_retire"),
    path("settings/kinds/", settings_catalogue.kind_list, name="kinds"),
    path("settings/kinds/new/", settings_catalogue.kind_edit, name="kind_new"),
    path("settings/kinds/<int:pk>/", settings_catalogue.kind_edit, name="kind_edit"),
    path("settings/kinds/<int:pk>/do/", settings_catalogue.kind_do, name="kind_do"),
    path("settings/lists/", settings.lists, name="lists"),
    path("settings/lists/new/", settings.list_edit, name="list_new"),
    path("settings/lists/<int:pk>/", settings.list_edit, name="list_edit"),
    path("settings/lists/<int:pk>/take/", settings.list_take, name="list_take"),
    path("settings/trail/", settings.trail, name="trail"),
]
